import { useCallback } from "react";

import { annotations, findGaps, grid, line, type Mark, mergeMarks, nearest, niceRange, timeAxis, tooltip, valueAxis, withGaps } from "@/components/ui/chart-parts";
import { Empty } from "@/components/ui/empty";
import { Plot } from "@/components/ui/plot";
import { ALERT_AT, WARN_AT } from "@/features/telemetry/drift-steps";
import { useNow } from "@/hooks/use-now";
import type { DriftCell, DriftCellDetail } from "@/lib/api/types";
import { formatFixed, formatMeasure, formatRatio, formatTick, NO_DATA, THIN_SPACE } from "@/lib/format/number";
import { formatDuration, formatMoment } from "@/lib/format/time";
import { type ChartTokens, withAlpha } from "@/theme/chart-tokens";

/** Shares per unit of the axis, so that narrow and wide bins can be compared by area. */
function densities(edges: readonly number[], shares: readonly number[]): [number, number][] {
  return shares.flatMap((share, index): [number, number][] => {
    const [from, to] = [edges[index], edges[index + 1]];
    if (from === undefined || to === undefined || to <= from) return [];
    const density = share / (to - from);
    return [
      [from, density],
      [to, density],
    ];
  });
}

/** Neighbouring bins joined, six to one: sixty bins show the noise, ten show the shape. */
function coarsen(edges: readonly number[], shares: readonly number[]): { edges: number[]; shares: number[] } {
  const step = shares.length > 24 ? 3 : 1;
  const joined: number[] = [];
  const kept: number[] = [];
  for (let index = 0; index < shares.length; index += step) {
    kept.push(edges[index] ?? 0);
    joined.push(shares.slice(index, index + step).reduce((sum, share) => sum + share, 0));
  }
  kept.push(edges[shares.length] ?? edges.at(-1) ?? 1);
  return { edges: kept, shares: joined };
}

/** Share of values outside the reference's edges from which it is said: they are in no bin. */
const SHOWN_OUTSIDE = 0.01;

/** What is measured now (blue) against the reference (grey area). */
export function DistributionPlot({ cell, detail }: { cell: DriftCell; detail: DriftCellDetail }) {
  const { distribution } = detail;
  const option = useCallback(
    (tokens: ChartTokens) => {
      if (distribution === null) return {};
      const reference = coarsen(distribution.edges, distribution.reference);
      const current = coarsen(distribution.edges, distribution.current);
      const referenceLine = densities(reference.edges, reference.shares);
      const currentLine = densities(current.edges, current.shares);
      const range = niceRange([...referenceLine, ...currentLine].map(([, value]) => value));
      // The two labels lean away from each other, so that close means stay readable, but never out of the plot.
      const isHigher = (cell.mean_current ?? 0) >= (cell.mean_reference ?? 0);
      const [from = 0, to = 1] = [reference.edges[0], reference.edges.at(-1)];
      const mean = (value: number | null, colour: string, leansRight: boolean) => {
        if (value === null) return [];
        const place = (value - from) / (to - from || 1);
        const isRight = place < 0.25 || (leansRight && place < 0.75);
        return [{ xAxis: Math.min(to, Math.max(from, value)), lineStyle: { color: colour, width: 1, type: [3, 3] }, label: { show: true, formatter: `mean ${formatMeasure(value)}`, position: "end", align: isRight ? "left" : "right", color: colour, fontSize: 11 } }];
      };
      const common = { type: "line", symbol: "none", silent: true, animation: false };
      return {
        animation: false,
        grid: grid({ left: 40, right: 10, top: 22 }),
        xAxis: { type: "value", min: reference.edges[0], max: reference.edges.at(-1), splitNumber: 4, axisLine: { show: false }, axisTick: { show: false }, splitLine: { show: false }, axisLabel: { color: tokens.text3, fontSize: 11, hideOverlap: true, formatter: formatTick }, axisPointer: { show: true, lineStyle: { color: tokens.lineStrong }, label: { show: false } } },
        yAxis: valueAxis(tokens, { ...range, format: formatTick }),
        tooltip: tooltip(
          tokens,
          (at) => {
            const index = Math.max(0, reference.edges.findLastIndex((edge) => edge <= at));
            return [
              { name: "Current", value: formatRatio(current.shares[index] ?? null) },
              { name: "Reference", value: formatRatio(reference.shares[index] ?? null) },
            ];
          },
          (at) => `${cell.feature} near ${formatMeasure(at)}`,
        ),
        series: [
          { ...common, data: referenceLine, lineStyle: { opacity: 0 }, areaStyle: { color: withAlpha(tokens.text3, 0.28), opacity: 1 } },
          { ...common, data: currentLine, lineStyle: { color: tokens.accent, width: 1.5 }, z: 3, markLine: { silent: true, animation: false, symbol: "none", data: [...mean(cell.mean_reference, tokens.text3, !isHigher), ...mean(cell.mean_current, tokens.accent, isHigher)] } },
        ],
      };
    },
    [distribution, cell],
  );
  if (distribution === null) return <Empty title="No distribution yet.">The version has no reference profile for it, or no device has reported it in this window.</Empty>;
  return (
    <>
      <Plot
        label={`Distribution of ${cell.feature}: reference and current, per unit`}
        option={option}
        height={180}
        table={{ head: ["from", "to", "Reference", "Current"], rows: distribution.current.map((share, index) => [formatMeasure(distribution.edges[index]), formatMeasure(distribution.edges[index + 1]), formatRatio(distribution.reference[index]), formatRatio(share)]) }}
      />
      <p className="s11 t3">
        blue: current window · grey: reference of training
        {(cell.outside_ratio ?? 0) >= SHOWN_OUTSIDE && <span className="crit"> · {formatRatio(cell.outside_ratio)} of the rows lie outside the reference</span>}
      </p>
    </>
  );
}

/** The cell's score over time with what happened beside it. */
export function HistoryPlot({ detail }: { detail: DriftCellDetail }) {
  const now = useNow();
  const { history, marks } = detail;
  const option = useCallback(
    (tokens: ChartTokens) => {
      const times = history.map((entry) => new Date(entry.at).getTime());
      const values = history.map((entry) => entry.psi_excess);
      const gaps = findGaps(times, (length) => `no data ${formatDuration(length)}`);
      const [first = 0, last = 1] = [times[0], times.at(-1)];
      const shown: Mark[] = marks.map((mark) => ({ at: new Date(mark.at).getTime(), text: mark.text, kind: "event" as const })).filter((mark) => mark.at >= first && mark.at <= last);
      const range = niceRange(values, ALERT_AT * 1.2);
      // Far above the limits their names would lie on each other; the higher one stays.
      const isCrowded = (ALERT_AT - WARN_AT) / range.max < 0.08;
      return {
        animation: false,
        grid: grid({ left: 40, right: 16, top: 22 }),
        xAxis: timeAxis(tokens, { splits: 5, min: first, max: last }),
        yAxis: valueAxis(tokens, { ...range, format: formatTick }),
        tooltip: tooltip(tokens, (at) => {
          const entry = history[nearest(times, at)];
          return [
            { name: "PSI excess", value: entry?.psi_excess == null ? NO_DATA : formatFixed(entry.psi_excess, 3) },
            { name: "Rows", value: String(entry?.row_count ?? 0) },
          ];
        }),
        series: [
          line(tokens, "current", withGaps(times, values, gaps), { hasEndDot: true }),
          annotations(tokens, {
            marks: mergeMarks(shown, first, last),
            span: [first, last],
            gaps,
            limits: [
              { value: ALERT_AT, text: "alert", kind: "harm" },
              { value: WARN_AT, text: isCrowded ? "" : "warn", kind: "warn" },
            ],
          }),
        ],
      };
    },
    [history, marks],
  );
  if (history.length === 0) return <Empty title="No history yet.">The first score comes with the first full window.</Empty>;
  const last = history.at(-1);
  return (
    <Plot
      label={`PSI excess over time; newest ${last?.psi_excess == null ? NO_DATA : formatFixed(last.psi_excess, 2)}`}
      option={option}
      height={180}
      table={{ head: ["UTC", `PSI${THIN_SPACE}excess`, "Rows"], rows: history.map((entry) => [formatMoment(entry.at, now), entry.psi_excess === null ? NO_DATA : formatFixed(entry.psi_excess, 3), entry.row_count]) }}
    />
  );
}
