import type { GateResult } from "@/lib/api/types";

/** Compared as a ratio of after to before, so that +0.25 is 25 % more and not 25 points (rollouts/policy/metrics.py). */
const RELATIVE = new Set(["latency_p95", "latency_mean"]);

/** The unit a gate's numbers are written in. A level keeps its own. */
export function gateUnit(gate: Pick<GateResult, "metric" | "unit" | "control">): string {
  return gate.unit === "ratio" && RELATIVE.has(gate.metric) && gate.control !== "ceiling" ? "relative" : gate.unit;
}

/** A ceiling judges a level; so does disagreement, which has no value without the new version. */
export function isDifference(gate: Pick<GateResult, "metric" | "control">): boolean {
  return gate.control !== "ceiling" && gate.metric !== "disagreement" && gate.metric !== "failed_deployments";
}

export const CONTROL_WORDS: Record<string, string> = {
  matched: "matched devices not yet treated, and own history",
  holdout: "hold-out kept to the end",
  own_history: "own history alone",
  ceiling: "absolute ceiling alone",
};
