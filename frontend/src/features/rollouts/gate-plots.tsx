import { useCallback, useMemo } from "react";

import { annotations, band, grid, line, type Mark, nearest, niceBounds, type Point, timeAxis, tooltip, valueAxis } from "@/components/ui/chart-parts";
import { Empty } from "@/components/ui/empty";
import { Plot } from "@/components/ui/plot";
import { gateUnit, isDifference } from "@/features/rollouts/gate-values";
import styles from "@/features/rollouts/rollouts.module.css";
import type { GateResult, GateSeries, Rollout } from "@/lib/api/types";
import { formatFixed, formatGateInterval, formatGateValue, NO_DATA } from "@/lib/format/number";
import { formatClock } from "@/lib/format/time";
import type { ChartTokens } from "@/theme/chart-tokens";

const times = (series: GateSeries | undefined) => (series?.ts ?? []).map((at) => new Date(at).getTime());

const points = (ts: readonly number[], values: readonly (number | null)[] | undefined): Point[] => ts.map((at, index) => [at, values?.[index] ?? null]);

const isPercent = (unit: string) => unit === "ratio" || unit === "relative";

/** How many times the larger of bound and newest value the axis reaches: a sequence begins with hardly any evidence, and its first width would flatten the rest. */
const REACH = 3;

/** Limits that show the bound and the newest values well; a level is never below zero, and a share never above one. */
export function plotBounds(series: GateSeries | undefined, others: readonly (number | null | undefined)[], harmBound: number | null, isLevel: boolean, isShare: boolean) {
  const newest = series?.value.findLast((value) => value !== null) ?? 0;
  const reach = REACH * Math.max(Math.abs(harmBound ?? 0), Math.abs(newest), ...others.map((value) => Math.abs(value ?? 0))) || 1;
  const lowest = isLevel ? 0 : -reach;
  const highest = isLevel && isShare ? Math.min(1, reach) : reach;
  const values = [0, harmBound, ...others, ...(series?.value ?? []), ...(series?.low ?? []), ...(series?.high ?? [])].filter((value): value is number => typeof value === "number");
  return niceBounds(values.map((value) => Math.min(highest, Math.max(lowest, value))));
}

function tick(value: number, unit: string): string {
  const scaled = isPercent(unit) ? value * 100 : value;
  return formatFixed(scaled, Number.isInteger(Number(scaled.toFixed(6))) ? 0 : Math.abs(scaled) < 1 ? 2 : 1);
}

interface GatePlotsProps {
  gate: GateResult;
  rollout: Rollout;
}

/** The chosen gate: treated beside control, and their difference with its confidence sequence. */
export function GatePlots({ gate, rollout }: GatePlotsProps) {
  const { treated, control, difference } = gate.data;
  const unit = gateUnit(gate);
  const isDiff = isDifference(gate);
  const levelUnit = unit === "relative" ? "ms" : unit;
  const isShare = levelUnit === "ratio";
  const halt = useMemo((): Mark[] => (rollout.halt_reason?.gate === gate.gate ? [{ at: new Date(gate.at).getTime(), text: "halted", kind: "halt" }] : []), [rollout.halt_reason, gate.gate, gate.at]);

  const levels = useCallback(
    (tokens: ChartTokens) => {
      const at = times(treated);
      const controlAt = times(control);
      const controls = (control?.value ?? []).filter((value) => value !== null);
      // Levels far from zero, such as temperatures, need no zero in sight.
      const range = isShare ? plotBounds(treated, controls, isDiff ? null : gate.harm_bound, true, true) : niceBounds([...(treated?.value ?? []), ...(treated?.low ?? []), ...(treated?.high ?? []), ...controls]);
      return {
        animation: false,
        grid: grid({ left: 48, right: 58 }),
        xAxis: timeAxis(tokens, { splits: 3 }),
        yAxis: valueAxis(tokens, { ...range, format: (value) => tick(value, levelUnit) }),
        tooltip: tooltip(tokens, (moment) => [
          { name: "Treated", value: formatGateValue(treated?.value[nearest(at, moment)], levelUnit, false) },
          ...(controlAt.length === 0 ? [] : [{ name: "Control", value: formatGateValue(control?.value[nearest(controlAt, moment)], levelUnit, false) }]),
        ]),
        series: [
          ...(treated?.low !== undefined && treated.high !== undefined ? band(tokens, "treated", points(at, treated.low), points(at, treated.high)) : []),
          ...(control === undefined ? [] : [line(tokens, "control", points(controlAt, control.value), { endLabel: "Control" })]),
          line(tokens, "current", points(at, treated?.value), { endLabel: "Treated" }),
          annotations(tokens, { marks: halt, span: [at[0] ?? 0, at.at(-1) ?? 1], limits: isDiff || gate.harm_bound === null ? [] : [{ value: gate.harm_bound, text: "ceiling", kind: "harm" }] }),
        ],
      };
    },
    [treated, control, levelUnit, isShare, isDiff, gate.harm_bound, halt],
  );

  const differences = useCallback(
    (tokens: ChartTokens) => {
      const at = times(difference);
      const range = plotBounds(difference, [], gate.harm_bound, !isDiff, isShare);
      return {
        animation: false,
        grid: grid({ left: 48, right: 12 }),
        xAxis: timeAxis(tokens, { splits: 3 }),
        yAxis: valueAxis(tokens, { ...range, format: (value) => `${isDiff && value > 0 ? "+" : ""}${tick(value, unit)}` }),
        tooltip: tooltip(tokens, (moment) => {
          const index = nearest(at, moment);
          return [
            { name: isDiff ? "Difference" : "Level", value: formatGateValue(difference?.value[index], unit, isDiff) },
            { name: "95 %", value: formatGateInterval(difference?.low?.[index], difference?.high?.[index], unit, isDiff) || NO_DATA },
          ];
        }),
        series: [
          ...(difference?.low !== undefined && difference.high !== undefined ? band(tokens, "difference", points(at, difference.low), points(at, difference.high)) : []),
          line(tokens, "current", points(at, difference?.value)),
          annotations(tokens, { marks: halt, span: [at[0] ?? 0, at.at(-1) ?? 1], limits: gate.harm_bound === null ? [] : [{ value: gate.harm_bound, text: isDiff ? "harm bound" : "ceiling", kind: "harm" }] }),
        ],
      };
    },
    [difference, unit, isShare, isDiff, gate.harm_bound, halt],
  );

  if ((treated?.ts.length ?? 0) === 0 && (difference?.ts.length ?? 0) === 0) {
    return <Empty title="Nothing to draw yet.">{gate.text || "The first evaluation comes with the first windows of treated devices."}</Empty>;
  }
  return (
    <div className={styles.pair}>
      {treated !== undefined && treated.ts.length > 0 && (
        <div>
          <div className="s12 t2">
            {control === undefined ? "Treated" : "Treated and control"}, {isPercent(levelUnit) ? "%" : levelUnit}
          </div>
          <Plot
            label={`${gate.gate}: treated${control === undefined ? "" : " and control"} over time`}
            option={levels}
            height={166}
            table={{ head: ["UTC", "Treated", "Control"], rows: times(treated).map((at, index) => [formatClock(at, { seconds: true }), formatGateValue(treated.value[index], levelUnit, false), formatGateValue(control?.value[index], levelUnit, false)]) }}
          />
        </div>
      )}
      {difference !== undefined && difference.ts.length > 0 && (
        <div>
          <div className="s12 t2">{isDiff ? `Difference, 95 % confidence sequence, ${unit === "ratio" ? "pp" : unit === "relative" ? "%" : unit}` : `Level, 95 % confidence sequence, ${isPercent(unit) ? "%" : unit}`}</div>
          <Plot
            label={`${gate.gate}: ${isDiff ? "difference" : "level"} with its 95 % confidence sequence; ${gate.text}`}
            option={differences}
            height={166}
            table={{ head: ["UTC", isDiff ? "Difference" : "Level", "95 % interval"], rows: times(difference).map((at, index) => [formatClock(at, { seconds: true }), formatGateValue(difference.value[index], unit, isDiff), formatGateInterval(difference.low?.[index], difference.high?.[index], unit, isDiff)]) }}
          />
        </div>
      )}
    </div>
  );
}
