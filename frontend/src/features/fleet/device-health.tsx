import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useCallback, useMemo } from "react";

import { annotations, findGaps, grid, line, type Limit, nearest, niceRange, timeAxis, tooltip, valueAxis, withGaps } from "@/components/ui/chart-parts";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { Plot } from "@/components/ui/plot";
import { Qty } from "@/components/ui/qty";
import styles from "@/features/fleet/device.module.css";
import { deviceSeriesQuery } from "@/lib/api/queries/fleet";
import type { Device, Series } from "@/lib/api/types";
import { formatFixed, formatMeasure, formatTick, NO_DATA, THIN_SPACE } from "@/lib/format/number";
import { formatClock, formatDuration } from "@/lib/format/time";
import type { ChartTokens } from "@/theme/chart-tokens";

interface ReadingSpec {
  key: string;
  title: string;
  unit: string;
  source: "health" | "windows";
  /** The value of one row, in `unit`. */
  value: (series: Series, index: number) => number | null;
  sub: (device: Device) => ReactNode;
  range?: { min: number; max: number; interval: number };
  limits?: readonly Limit[];
  tick?: (value: number) => string;
}

const column = (name: string, scale = 1) => (series: Series, index: number) => {
  const value = series[name]?.[index];
  return typeof value === "number" ? value * scale : null;
};

const READINGS: readonly ReadingSpec[] = [
  { key: "cpu", title: "CPU", unit: "%", source: "health", value: column("cpu_ratio", 100), sub: () => "of all cores", range: { min: 0, max: 100, interval: 50 } },
  { key: "temperature", title: "Temperature", unit: "°C", source: "health", value: column("temperature_c"), sub: () => "limit 85 °C", range: { min: 20, max: 90, interval: 35 }, limits: [{ value: 85, text: "", kind: "warn" }] },
  { key: "memory", title: "Memory", unit: "%", source: "health", value: column("memory_used_ratio", 100), sub: () => "used", range: { min: 0, max: 100, interval: 50 } },
  { key: "latency", title: "Latency p95", unit: "ms", source: "windows", value: column("latency_ms_p95"), sub: (device) => (device.window?.model === null || device.window?.model === undefined ? "per window" : `${device.window.model} ${device.window.version ?? ""}`) },
  { key: "confidence", title: "Confidence", unit: "", source: "windows", value: column("confidence_mean"), sub: () => "mean per window", range: { min: 0, max: 1, interval: 0.5 }, tick: (value) => formatFixed(value, 1) },
  {
    key: "inferences",
    title: "Inferences",
    unit: "/s",
    source: "windows",
    value: (series, index) => {
      const count = series["inference_count"]?.[index];
      const seconds = series["window_s"]?.[index];
      return typeof count === "number" && typeof seconds === "number" && seconds > 0 ? count / seconds : null;
    },
    sub: () => "mean per window",
  },
];

interface ReadingProps {
  spec: ReadingSpec;
  series: Series | undefined;
  device: Device;
  from: number;
  until: number;
  isLast: boolean;
}

function Reading({ spec, series, device, from, until, isLast }: ReadingProps) {
  const { times, values, gaps } = useMemo(() => {
    const all = (series?.ts ?? []).map((at) => new Date(at).getTime());
    return { times: all, values: series === undefined ? [] : all.map((_, index) => spec.value(series, index)), gaps: findGaps(all, (length) => `no data ${formatDuration(length)}`) };
  }, [series, spec]);
  const newest = values.findLast((value) => value !== null) ?? null;
  const option = useCallback(
    (tokens: ChartTokens) => {
      const range = spec.range ?? niceRange(values);
      const tick = spec.tick ?? formatTick;
      return {
        animation: false,
        aria: { enabled: false },
        grid: grid({ left: 40, right: 12, top: 14, bottom: isLast ? 20 : 6 }),
        xAxis: timeAxis(tokens, { min: from, max: until, hasLabels: isLast, splits: 4 }),
        yAxis: valueAxis(tokens, { ...range, format: (value, isTop) => (isTop && spec.unit !== "" ? `${tick(value)}${THIN_SPACE}${spec.unit}` : tick(value)) }),
        tooltip: tooltip(tokens, (at) => {
          const value = values[nearest(times, at)];
          return [{ name: spec.title, value: typeof value === "number" ? `${formatMeasure(value)}${spec.unit === "" ? "" : `${THIN_SPACE}${spec.unit}`}` : NO_DATA }];
        }),
        series: [line(tokens, "current", withGaps(times, values, gaps), { hasEndDot: true }), annotations(tokens, { span: [from, until], limits: spec.limits ?? [], gaps: gaps.map((gap) => ({ ...gap, text: spec.key === "cpu" ? gap.text : "" })) })],
      };
    },
    [spec, times, values, gaps, from, until, isLast],
  );
  const table = useMemo(() => ({ head: ["UTC", `${spec.title} ${spec.unit}`], rows: times.map((at, index) => [formatClock(at, { seconds: true }), formatMeasure(values[index])]) }), [spec, times, values]);
  return (
    <div className={styles.small}>
      <div className={styles.reading}>
        {spec.title}
        <b>
          <Qty value={newest === null ? null : formatMeasure(newest)} unit={spec.unit} />
        </b>
        <span className={styles.sub}>{spec.sub(device)}</span>
      </div>
      <Plot label={`${spec.title} over time, newest ${newest === null ? NO_DATA : `${formatMeasure(newest)} ${spec.unit}`}`} option={option} height={isLast ? 102 : 88} table={table} group={`device-${device.id}`} />
    </div>
  );
}

/** Live readings on one time axis. A gap is hatched and says how long it is; nothing is drawn across it. */
export function DeviceHealth({ device, hours }: { device: Device; hours: number }) {
  const health = useQuery(deviceSeriesQuery(device.id, "health", hours));
  const windows = useQuery(deviceSeriesQuery(device.id, "windows", hours));
  const ends = [health.data, windows.data].flatMap((series) => (series === undefined ? [] : [series.ts.at(-1)])).map((at) => (at === undefined ? 0 : new Date(at).getTime()));
  const until = Math.max(0, ...ends);
  const starts = [health.data, windows.data].flatMap((series) => (series === undefined ? [] : [series.ts[0]])).flatMap((at) => (at === undefined ? [] : [new Date(at).getTime()]));
  // A device younger than the range fills the width with what there is.
  const from = Math.max(until - hours * 3_600_000, Math.min(until, ...starts));
  return (
    <Loaded query={health} what="The health of this device" rows={6}>
      {(series) =>
        series.ts.length === 0 && (windows.data?.ts.length ?? 0) === 0 ? (
          <Empty title="No readings in this time.">The device has sent nothing in the last {hours} h. A longer time may show its last readings.</Empty>
        ) : (
          <div>
            {READINGS.map((spec, index) => (
              <Reading key={spec.key} spec={spec} series={spec.source === "health" ? series : windows.data} device={device} from={from} until={until} isLast={index === READINGS.length - 1} />
            ))}
          </div>
        )
      }
    </Loaded>
  );
}
