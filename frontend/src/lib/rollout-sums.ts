/** Sums over a rollout's deployments. Claimed is never counted as proven. */
import type { Counts, Rollout } from "@/lib/api/types";

export interface RolloutSums {
  total: number;
  proven: number;
  claimed: number;
  failed: number;
  rolledBack: number;
  restoring: number;
  cancelled: number;
  skipped: number;
  /** Devices that ran the version at some time of this rollout. */
  exposed: number;
}

export function sumCounts(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

export function rolloutSums(rollout: Pick<Rollout, "counts" | "waves">): RolloutSums {
  const { counts } = rollout;
  const planned = rollout.waves.reduce((sum, wave) => sum + wave.device_count, 0);
  const proven = counts.proven ?? 0;
  const claimed = counts.probation ?? 0;
  const restoring = counts.restoring ?? 0;
  const rolledBack = counts.rolled_back ?? 0;
  return {
    total: sumCounts(counts) || planned,
    proven,
    claimed,
    failed: (counts.failed ?? 0) + (counts.restore_failed ?? 0),
    rolledBack,
    restoring,
    cancelled: counts.cancelled ?? 0,
    skipped: counts.skipped ?? 0,
    exposed: proven + claimed + restoring + rolledBack + (counts.restore_failed ?? 0),
  };
}

/** `1.0.0 → 1.1.0`, or the version alone where nothing ran before. */
export function versionStep(rollout: Pick<Rollout, "version" | "previous_versions">): string {
  const from = rollout.previous_versions.filter((version) => version !== rollout.version);
  if (from.length === 0) return rollout.version;
  return `${from.length === 1 ? (from[0] ?? "") : `${from.length} versions`} → ${rollout.version}`;
}
