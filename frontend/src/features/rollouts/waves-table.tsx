import { DataTable, type Column } from "@/components/ui/data-table";
import { StateBar } from "@/components/ui/state-bar";
import { Status } from "@/components/ui/status";
import styles from "@/features/rollouts/rollouts.module.css";
import { useNow } from "@/hooks/use-now";
import type { GateResult, Rollout, Wave } from "@/lib/api/types";
import { formatCount } from "@/lib/format/number";
import { formatMoment } from "@/lib/format/time";

interface WavesTableProps {
  rollout: Rollout;
  gates: readonly GateResult[];
  selected: number;
  onSelect: (wave: number) => void;
}

const STOPPED = ["halted", "rolling_back", "rolled_back", "cancelled", "cancelling"];

function GateCell({ rollout, wave, gates, now }: { rollout: Rollout; wave: Wave; gates: readonly GateResult[]; now: number }) {
  const own = gates.filter((gate) => gate.wave === wave.number);
  if (own.some((gate) => gate.verdict === "harm")) return <Status thing="gate" state="harm" />;
  if (own.some((gate) => gate.verdict === "cannot_compute")) return <Status thing="gate" state="cannot_compute" />;
  if (wave.passed_at !== null) return <Status thing="gate" state="pass" word={`Passed ${formatMoment(wave.passed_at, now)}`} />;
  if (wave.released_at === null) return <span className="t3">{STOPPED.includes(rollout.state) ? "not released" : wave.number === 1 ? "not released" : `after wave ${wave.number - 1}`}</span>;
  if (rollout.is_holding && wave.number === rollout.released_wave) return <Status thing="rollout" state="holding" />;
  return <span className="t3">{STOPPED.includes(rollout.state) ? "stopped" : own.length === 0 ? "no evidence yet" : "being judged"}</span>;
}

/** Waves with what their devices do. Claimed stands in a column of its own and in no sum. */
export function WavesTable({ rollout, gates, selected, onSelect }: WavesTableProps) {
  const now = useNow();
  const dash = <span className="t3">–</span>;
  const count = (wave: Wave, value: number | undefined, tone = "") => (wave.released_at === null ? dash : <span className={(value ?? 0) === 0 ? "t3" : tone}>{formatCount(value ?? 0)}</span>);
  const columns: Column<Wave>[] = [
    {
      key: "wave",
      head: "Wave",
      cell: (wave) => (
        <button type="button" className={styles.selectRow} onClick={() => onSelect(wave.number)} aria-pressed={wave.number === selected} data-row>
          {wave.number} <span className="t3 s12">{wave.name}</span>
        </button>
      ),
    },
    { key: "devices", head: "Devices", cell: (wave) => formatCount(wave.device_count), isNumber: true },
    { key: "state", head: "State", cell: (wave) => <StateBar counts={Object.keys(wave.counts).length === 0 ? { planned: wave.device_count } : wave.counts} />, className: styles.barCell },
    { key: "proven", head: "Proven", cell: (wave) => count(wave, wave.counts.proven), isNumber: true },
    { key: "claimed", head: "Claimed", cell: (wave) => count(wave, wave.counts.probation), isNumber: true },
    { key: "failed", head: "Failed", cell: (wave) => count(wave, (wave.counts.failed ?? 0) + (wave.counts.restore_failed ?? 0), "crit"), isNumber: true, priority: "medium" },
    { key: "gate", head: "Gate", cell: (wave) => <GateCell rollout={rollout} wave={wave} gates={gates} now={now} /> },
    { key: "released", head: "Released", cell: (wave) => (wave.released_at === null ? dash : <span className="t2">{formatMoment(wave.released_at, now)}</span>), isNumber: true, priority: "medium" },
  ];
  return <DataTable label="Waves" columns={columns} rows={rollout.waves} rowKey={(wave) => String(wave.number)} isSelected={(wave) => wave.number === selected} />;
}
