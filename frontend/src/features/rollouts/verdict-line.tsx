import { Age } from "@/components/ui/age";
import type { IconName } from "@/components/ui/icon";
import { statusOf } from "@/components/ui/status-table";
import { Verdict } from "@/components/ui/verdict";
import { useNow } from "@/hooks/use-now";
import type { GateResult, Rollout } from "@/lib/api/types";
import { formatCount, plural } from "@/lib/format/number";
import { sentence, words } from "@/lib/format/text";
import { formatMoment } from "@/lib/format/time";
import { rolloutSums } from "@/lib/rollout-sums";

interface Line {
  kind: "go" | "hold" | "stop";
  icon: IconName;
  head: string;
  text: string;
}

/** `7 of 9 gates pass, none shows harm.` */
export function gatesSentence(gates: readonly GateResult[]): string {
  if (gates.length === 0) return "";
  const passing = gates.filter((gate) => gate.verdict === "pass").length;
  const harming = gates.filter((gate) => gate.verdict === "harm").length;
  return `${passing} of ${plural(gates.length, "gate")} pass, ${harming === 0 ? "none shows harm" : `${harming} ${harming === 1 ? "shows" : "show"} harm`}.`;
}

/** State, evidence and what comes next, in one line. Pure, so that it can be read in a test. */
export function verdictOf(rollout: Rollout, waveGates: readonly GateResult[]): Line {
  const sums = rolloutSums(rollout);
  const wave = rollout.released_wave;
  const { icon, word } = statusOf("rollout", rollout.state);
  const proven = `${formatCount(sums.proven)} of ${formatCount(sums.total)} proven.`;
  switch (rollout.state) {
    case "running":
      return rollout.is_holding
        ? { kind: "hold", icon: "hold", head: `Wave ${wave} holds for more evidence.`, text: gatesSentence(waveGates) }
        : { kind: "go", icon, head: wave === 0 ? "Starts now." : `Wave ${wave} of ${rollout.waves.length} runs.`, text: `${proven} ${gatesSentence(waveGates)}` };
    case "halted":
    case "rolling_back":
    case "rolled_back": {
      const reason = rollout.halt_reason;
      const back = sums.exposed === 0 ? "No device had switched." : `${formatCount(sums.rolledBack)} of ${plural(sums.exposed, "device")} that ran ${rollout.version} ${sums.rolledBack === 1 ? "is" : "are"} back.`;
      const head = reason === null ? `${word}.` : `${rollout.state === "halted" ? "Halted" : rollout.state === "rolling_back" ? "Halted, rolling back" : "Halted and rolled back"}: ${words(reason.metric)}.`;
      return { kind: rollout.state === "rolled_back" ? "go" : "stop", icon: rollout.state === "rolled_back" ? "rolled-back" : "halt", head, text: `${reason?.text ?? ""} ${back}`.trim() };
    }
    case "needs_decision":
      return { kind: "hold", icon, head: `Decide: wave ${wave} has no verdict.`, text: `${gatesSentence(waveGates)} Resuming lets the wave pass on your word; halting keeps it here.` };
    case "paused":
      return { kind: "hold", icon, head: "Paused.", text: `${proven} Nothing new is offered until it is resumed.` };
    case "completed":
      return { kind: "go", icon, head: "Completed.", text: `${proven}${sums.claimed > 0 ? ` ${formatCount(sums.claimed)} claimed do not count.` : ""}` };
    case "draft":
      return { kind: "go", icon, head: "Draft.", text: "Nothing is sent until it is started." };
    default:
      return { kind: "go", icon, head: `${sentence(word)}.`, text: proven };
  }
}

export function VerdictLine({ rollout, waveGates }: { rollout: Rollout; waveGates: readonly GateResult[] }) {
  const now = useNow();
  const line = verdictOf(rollout, waveGates);
  return (
    <Verdict
      kind={line.kind}
      icon={line.icon}
      action={rollout.finished_at === null ? undefined : <span className="t3 s12 nowrap"><Age at={rollout.finished_at} /></span>}
    >
      <b>{line.head}</b> {line.text}
      {rollout.next !== null && rollout.finished_at === null && (
        <>
          {" "}
          Next: {rollout.next.text.replace(/\.$/, "")}
          {rollout.next.at !== null && (
            <>
              , expected <b>{formatMoment(rollout.next.at, now)}</b>
            </>
          )}
          .
        </>
      )}
    </Verdict>
  );
}
