import { AppLink } from "@/components/ui/app-link";
import { StateShare } from "@/components/ui/state-bar";
import { Status } from "@/components/ui/status";
import { DEPLOYMENT_ORDER } from "@/components/ui/status-table";
import styles from "@/features/rollouts/rollouts.module.css";
import type { Rollout } from "@/lib/api/types";
import { formatCount, formatShare } from "@/lib/format/number";
import { rolloutSums } from "@/lib/rollout-sums";

/** Counts by state; planned and cancelled do not squeeze the bars of what moves. */
export function DevicesByState({ rollout, pathOf }: { rollout: Rollout; pathOf: (state: string) => string }) {
  const { total } = rolloutSums(rollout);
  const shown = DEPLOYMENT_ORDER.filter((state) => (rollout.counts[state] ?? 0) > 0 || state === "proven" || state === "probation");
  const most = Math.max(1, ...shown.filter((state) => state !== "planned" && state !== "cancelled").map((state) => rollout.counts[state] ?? 0));
  return (
    <div className={styles.states}>
      {shown.map((state) => {
        const count = rollout.counts[state] ?? 0;
        return [
          <AppLink key={state} to={pathOf(state)}>
            <Status thing="deployment" state={state} />
          </AppLink>,
          <span key={`${state}-bar`}>{count > 0 && state !== "planned" && state !== "cancelled" && <StateShare state={state} ratio={count / most} />}</span>,
          <span key={`${state}-count`} className={styles.count}>
            {formatCount(count)}
            <small>{formatShare(count, total)}</small>
          </span>,
        ];
      })}
    </div>
  );
}
