import { Status } from "@/components/ui/status";
import type { Rollout } from "@/lib/api/types";

/** A rollout's state with what belongs to it: which wave, and whether a gate holds it. */
export function RolloutStatus({ rollout, isPill = false }: { rollout: Rollout; isPill?: boolean }) {
  const waves = rollout.waves.length;
  if (rollout.state === "running" && rollout.is_holding) {
    return <Status thing="rollout" state="holding" isPill={isPill} word={isPill ? "Running" : "Holding"} detail={isPill ? `· holding at wave ${rollout.released_wave}` : `at wave ${rollout.released_wave} of ${waves}`} />;
  }
  if (rollout.state === "running" && rollout.released_wave > 0) {
    return <Status thing="rollout" state="running" isPill={isPill} detail={`wave ${rollout.released_wave} of ${waves}`} />;
  }
  if (rollout.state === "rolling_back") return <Status thing="rollout" state="rolling_back" isPill={isPill} word={rollout.halt_reason === null ? "Rolling back" : "Halted · rolling back"} />;
  return <Status thing="rollout" state={rollout.state} isPill={isPill} />;
}
