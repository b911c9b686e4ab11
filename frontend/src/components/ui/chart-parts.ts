/** The few parts every plot is put together from: one grammar for axes, lines, bands, limits, gaps and marks. */
import { formatClock, formatDay, formatFull } from "@/lib/format/time";
import { type ChartTokens, hatch, withAlpha } from "@/theme/chart-tokens";

export type Point = [number, number | null];

const FONT = '"Inter Variable", "Inter", system-ui, sans-serif';

const labelStyle = (tokens: ChartTokens) => ({ color: tokens.text3, fontSize: 11, fontFamily: FONT });

interface Space {
  left?: number;
  right?: number;
  top?: number;
  bottom?: number;
}

export const grid = ({ left = 42, right = 10, top = 14, bottom = 20 }: Space = {}) => ({ left, right, top, bottom });

/** UTC time axis: round times, the date at midnight only. */
export function timeAxis(tokens: ChartTokens, range: { min?: number; max?: number; hasLabels?: boolean; splits?: number } = {}) {
  return {
    type: "time",
    ...(range.min === undefined ? {} : { min: range.min }),
    ...(range.max === undefined ? {} : { max: range.max }),
    splitNumber: range.splits ?? 4,
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { show: false },
    axisPointer: { show: true, type: "line", lineStyle: { color: tokens.lineStrong, type: "solid" }, label: { show: false } },
    axisLabel: {
      ...labelStyle(tokens),
      show: range.hasLabels ?? true,
      hideOverlap: true,
      formatter: (value: number) => {
        // Short ranges have ticks between the minutes.
        const clock = formatClock(value, { seconds: new Date(value).getUTCSeconds() !== 0 });
        return clock === "00:00" ? formatDay(value, Date.now()) : clock;
      },
    },
  };
}

export interface ValueRange {
  min?: number;
  max?: number;
  interval?: number;
  /** Writes a tick. The topmost tick carries the unit. */
  format: (value: number, isTop: boolean) => string;
}

export function valueAxis(tokens: ChartTokens, { min, max, interval, format }: ValueRange) {
  return {
    type: "value",
    ...(min === undefined ? { scale: true } : { min }),
    ...(max === undefined ? {} : { max }),
    ...(interval === undefined ? { splitNumber: 3 } : { interval }),
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: tokens.line, width: 1 } },
    axisLabel: { ...labelStyle(tokens), formatter: (value: number) => format(value, max !== undefined && Math.abs(value - max) < 1e-9) },
  };
}

/** A top that is a round number above all values, and its third or half as interval. */
export function niceRange(values: readonly (number | null | undefined)[], least = 0): { min: number; max: number; interval: number } {
  const top = Math.max(least, 1e-9, ...values.filter((value): value is number => typeof value === "number"));
  const power = 10 ** Math.floor(Math.log10(top));
  const step = [1, 2, 2.5, 5, 10].find((candidate) => candidate * power * 2 >= top) ?? 10;
  return { min: 0, max: step * power * 2, interval: step * power };
}

/** Round limits and three to five ticks around all values. */
export function niceBounds(values: readonly (number | null | undefined)[]): { min: number; max: number; interval: number } {
  const known = values.filter((value): value is number => typeof value === "number");
  const low = Math.min(...known);
  const high = Math.max(...known);
  const span = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / 3));
  const interval = ([1, 2, 2.5, 5, 10].find((step) => step * power * 4 >= span) ?? 10) * power;
  return { min: Math.floor(low / interval) * interval, max: Math.ceil(high / interval) * interval, interval };
}

type LineKind = "current" | "control";

export function line(tokens: ChartTokens, kind: LineKind, data: readonly Point[], options: { name?: string; endLabel?: string; hasEndDot?: boolean } = {}) {
  const colour = kind === "current" ? tokens.accent : tokens.text3;
  const last = data.findLast((point) => point[1] !== null);
  return {
    type: "line",
    name: options.name ?? "",
    data,
    connectNulls: false,
    showSymbol: false,
    symbol: "none",
    silent: true,
    animation: false,
    sampling: "lttb",
    lineStyle: { color: colour, width: 1.5, type: kind === "current" ? "solid" : [4, 3] },
    itemStyle: { color: colour },
    z: kind === "current" ? 4 : 3,
    ...(options.endLabel === undefined ? {} : { endLabel: { show: true, formatter: options.endLabel, color: colour, fontSize: 11, fontFamily: FONT, distance: 6 }, labelLayout: { moveOverlap: "shiftY" } }),
    ...(options.hasEndDot === true && last !== undefined ? { markPoint: { silent: true, animation: false, symbol: "circle", symbolSize: 7, label: { show: false }, itemStyle: { color: colour }, data: [{ coord: last }] } } : {}),
  };
}

/** Uncertainty around a line: 16 % of its colour between low and high. */
export function band(tokens: ChartTokens, stack: string, low: readonly Point[], high: readonly Point[]) {
  const common = { type: "line", stack, stackStrategy: "all", symbol: "none", silent: true, animation: false, connectNulls: false, lineStyle: { opacity: 0 }, z: 1 };
  const height = high.map(([at, value], index): Point => {
    const below = low[index]?.[1] ?? null;
    return [at, value === null || below === null ? null : value - below];
  });
  return [
    { ...common, data: low, tooltip: { show: false } },
    { ...common, data: height, areaStyle: { color: withAlpha(tokens.accent, 0.16), opacity: 1 }, tooltip: { show: false } },
  ];
}

export interface Limit {
  value: number;
  text: string;
  kind: "warn" | "harm" | "reference";
}

export interface Mark {
  at: number;
  text: string;
  kind: "event" | "now" | "halt";
}

export interface Gap {
  from: number;
  to: number;
  text: string;
}

/** Limits, events and gaps hang on one empty series, so that they never depend on the data's own. */
export function annotations(tokens: ChartTokens, parts: { limits?: readonly Limit[]; marks?: readonly Mark[]; gaps?: readonly Gap[]; span?: readonly [number, number] }) {
  const [from, until] = parts.span ?? [-Infinity, Infinity];
  // Names at the ends lean inwards instead of over the axis or out of the plot.
  const alignOf = (at: number) => (at < from + (until - from) * 0.12 ? "left" : at > until - (until - from) * 0.12 ? "right" : "center");
  const label = (colour: string, position: string) => ({ show: true, color: colour, fontSize: 11, fontFamily: FONT, position, distance: 4 });
  const limitColour = { warn: tokens.warnFill, harm: tokens.critFill, reference: tokens.text3 };
  const limitText = { warn: tokens.warn, harm: tokens.crit, reference: tokens.text3 };
  const markColour = { event: tokens.text3, now: tokens.text, halt: tokens.critFill };
  return {
    type: "line",
    data: [],
    silent: true,
    animation: false,
    markLine: {
      silent: true,
      animation: false,
      symbol: "none",
      data: [
        ...(parts.limits ?? []).map((limit) => ({
          yAxis: limit.value,
          lineStyle: { color: limitColour[limit.kind], width: limit.kind === "harm" ? 1.25 : 1, type: limit.kind === "harm" ? "solid" : [3, 3] },
          label: { ...label(limitText[limit.kind], "insideStartTop"), formatter: limit.text },
        })),
        ...(parts.marks ?? []).map((mark) => ({
          xAxis: mark.at,
          lineStyle: { color: markColour[mark.kind], width: 1, type: mark.kind === "event" ? [1, 3] : "solid" },
          label: { ...label(mark.kind === "halt" ? tokens.crit : tokens.text2, "end"), align: parts.span === undefined ? "center" : alignOf(mark.at), formatter: mark.kind === "event" ? `◇ ${mark.text}` : mark.text },
        })),
      ],
    },
    markArea: {
      silent: true,
      animation: false,
      itemStyle: { color: hatch(tokens.lineStrong) },
      label: { show: true, color: tokens.text3, fontSize: 11, fontFamily: FONT, position: "top", distance: 2 },
      // A narrow gap is hatched without words, which would lie on those of the next.
      data: (parts.gaps ?? []).map((gap) => [{ xAxis: gap.from, name: parts.span === undefined || gap.to - gap.from > (until - from) * 0.12 ? gap.text : "" }, { xAxis: gap.to }]),
    },
  };
}

/** Marks whose names would run into each other become one, at the first of them. */
export function mergeMarks(marks: readonly Mark[], from: number, until: number): Mark[] {
  const apart = (until - from) * 0.16;
  const merged: { mark: Mark; count: number }[] = [];
  for (const mark of marks.toSorted((a, b) => a.at - b.at)) {
    const last = merged.at(-1);
    if (last !== undefined && mark.at - last.mark.at < apart) last.count += 1;
    else merged.push({ mark, count: 1 });
  }
  return merged.map(({ mark, count }) => (count === 1 ? { ...mark, text: mark.text.length > 26 ? `${mark.text.slice(0, 25)}\u2026` : mark.text } : { ...mark, text: `${count} changes` }));
}

/** So many intervals on either side say what is usual at a place. */
const NEIGHBOURS = 5;

const medianOf = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Stretches longer than three intervals, of those beside them, in which nothing came: a reading every minute may follow readings every second. */
export function findGaps(times: readonly number[], describe: (milliseconds: number) => string): Gap[] {
  if (times.length < 3) return [];
  const steps = times.slice(1).map((at, index) => at - (times[index] ?? at));
  return steps.flatMap((step, index) => {
    const from = times[index] ?? 0;
    const usual = Math.max(medianOf(steps.slice(Math.max(0, index - NEIGHBOURS), index)), medianOf(steps.slice(index + 1, index + 1 + NEIGHBOURS)));
    return usual > 0 && step > 3 * usual ? [{ from, to: from + step, text: describe(step) }] : [];
  });
}

/** Points of a column, with a null inside every gap so that no line crosses it. */
export function withGaps(times: readonly number[], values: readonly (number | string | null)[], gaps: readonly Gap[]): Point[] {
  const points = times.map((at, index): Point => {
    const value = values[index];
    return [at, typeof value === "number" ? value : null];
  });
  for (const gap of gaps) points.push([(gap.from + gap.to) / 2, null]);
  return points.toSorted((a, b) => a[0] - b[0]);
}

interface TipRow {
  name: string;
  value: string;
}

/** Tooltip built from elements: no markup, so no style attributes that the content security policy would refuse. */
export function tooltip(tokens: ChartTokens, rows: (at: number) => TipRow[], head: (at: number) => string = formatFull) {
  return {
    trigger: "axis",
    confine: true,
    transitionDuration: 0,
    backgroundColor: tokens.canvas,
    borderColor: tokens.lineStrong,
    borderWidth: 1,
    padding: [6, 8],
    extraCssText: "box-shadow: var(--fl-shadow); border-radius: 5px;",
    formatter: (parameters: unknown) => {
      const first = (Array.isArray(parameters) ? parameters[0] : parameters) as { axisValue?: number | string } | undefined;
      const at = Number(first?.axisValue);
      const root = document.createElement("div");
      root.className = "fl-tip";
      const title = document.createElement("div");
      title.className = "fl-tip-head";
      title.textContent = head(at);
      root.append(title);
      for (const row of rows(at)) {
        const element = document.createElement("div");
        element.className = "fl-tip-row";
        const name = document.createElement("span");
        name.textContent = row.name;
        const value = document.createElement("b");
        value.textContent = row.value;
        element.append(name, value);
        root.append(element);
      }
      return root;
    },
  };
}

/** Index of the time nearest to `at`. */
export function nearest(times: readonly number[], at: number): number {
  let best = 0;
  times.forEach((time, index) => {
    if (Math.abs(time - at) < Math.abs((times[best] ?? Infinity) - at)) best = index;
  });
  return best;
}
