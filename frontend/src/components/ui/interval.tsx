import type { CSSProperties } from "react";

import styles from "@/components/ui/interval.module.css";
import type { GateResult } from "@/lib/api/types";

/** Limits of the shared axis, in harm bounds: 0 is no difference, 1 the bound. */
export interface GateAxis {
  min: number;
  max: number;
}

type Bounded = Pick<GateResult, "estimate" | "low" | "high" | "harm_bound" | "verdict">;

const FARTHEST = 4;

/** A gate's value in units of its own harm bound; harm lies to the right, whatever its sign. */
export function toHarmBounds(value: number | null, harmBound: number | null): number | null {
  return value === null || harmBound === null || harmBound === 0 ? null : value / harmBound;
}

/** One axis for all gates, wide enough for the worst interval (at most four harm bounds: beyond that more is not more). */
export function gateAxis(gates: readonly Bounded[]): GateAxis {
  const values = gates.flatMap((gate) => [gate.low, gate.high, gate.estimate].map((value) => toHarmBounds(value, gate.harm_bound))).filter((value) => value !== null);
  const min = Math.max(-FARTHEST, Math.min(-1.2, ...values) * 1.04);
  const max = Math.min(FARTHEST, Math.max(1.5, ...values) * 1.04);
  return { min, max };
}

const percentOn = (axis: GateAxis) => (value: number) => {
  const ratio = (value - axis.min) / (axis.max - axis.min);
  return `${(Math.min(1, Math.max(0, ratio)) * 100).toFixed(2)}%`;
};

const variables = (values: Record<string, string>) => values as CSSProperties;

/** The head of the track column: where nothing differs, and where harm begins. */
export function IntervalHead({ axis }: { axis: GateAxis }) {
  const at = percentOn(axis);
  return (
    <span className={styles.track}>
      <span className={styles.axis} data-kind="zero" style={variables({ "--at": at(0) })}>
        no difference
      </span>
      <span className={styles.axis} data-kind="bound" style={variables({ "--at": at(1) })}>
        harm bound
      </span>
    </span>
  );
}

/** One gate's estimate and interval on the shared axis; hatched where there is nothing to draw yet. */
export function Interval({ gate, axis }: { gate: Bounded; axis: GateAxis }) {
  const at = percentOn(axis);
  const [low, high, estimate] = [gate.low, gate.high, gate.estimate].map((value) => toHarmBounds(value, gate.harm_bound));
  const kind = gate.verdict === "harm" ? styles.bad : gate.verdict === "pass" ? "" : styles.few;
  const hasInterval = typeof low === "number" && typeof high === "number";
  const from = hasInterval ? Math.min(low, high) : 0;
  const to = hasInterval ? Math.max(low, high) : 0;
  return (
    <span className={styles.track} style={variables({ "--zero": at(0), "--bound": at(1) })} aria-hidden>
      <i className={styles.zone} />
      <i className={styles.zero} />
      <i className={styles.bound} />
      {hasInterval && <i className={`${styles.interval ?? ""} ${kind ?? ""}`} style={variables({ "--low": at(from), "--width": `calc(${at(to)} - ${at(from)})` })} />}
      {typeof estimate === "number" ? <i className={`${styles.point ?? ""} ${kind ?? ""}`} style={variables({ "--at": at(estimate) })} /> : <i className={`${styles.none ?? ""} hatch`} />}
    </span>
  );
}
