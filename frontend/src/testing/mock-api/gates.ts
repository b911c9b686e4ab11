/** Gate results with series that lead to their verdicts. */
import type { GateResult, GateSeries } from "@/lib/api/types";
import { seeded } from "@/testing/mock-api/random";

type Story = "holding" | "harm" | "pass";

interface Shape {
  gate: string;
  metric: string;
  unit: string;
  bound: number;
  control: GateResult["control"];
  estimate: number;
  width: number;
  level: number;
  verdict: GateResult["verdict"];
  needed?: number;
  present?: number;
  neededUnit?: string;
}

const STEPS = 32;

function series(random: () => number, now: number, end: number, start: number, spread: number, narrows: boolean): GateSeries {
  const ts = Array.from({ length: STEPS }, (_, index) => now - (STEPS - index) * 4 * 60_000);
  const value = ts.map((_, index) => start + (end - start) * Math.min(1, index / 14) + (random() - 0.5) * spread * 0.3);
  const half = ts.map((_, index) => spread * (narrows ? 0.5 + 2.2 / (index + 1) : 0.6));
  return { ts, value, low: value.map((entry, index) => entry - (half[index] ?? 0)), high: value.map((entry, index) => entry + (half[index] ?? 0)) };
}

function build(now: number, wave: number, shape: Shape, seed: number): GateResult {
  const random = seeded(seed);
  const isEmpty = shape.verdict === "not_enough_data";
  const difference = series(random, now, shape.estimate, 0, shape.width, true);
  return {
    wave,
    gate: shape.gate,
    metric: shape.metric,
    verdict: shape.verdict,
    control: shape.control,
    estimate: isEmpty ? null : shape.estimate,
    low: isEmpty ? null : shape.estimate - shape.width,
    high: isEmpty ? null : shape.estimate + shape.width,
    harm_bound: shape.bound,
    unit: shape.unit,
    treated_count: 10,
    control_count: 31,
    text: `${shape.gate}: ${shape.verdict.replaceAll("_", " ")}.`,
    data: isEmpty
      ? { needed: shape.needed ?? 0, present: shape.present ?? 0, needed_unit: shape.neededUnit ?? "rows" }
      : {
          ...(shape.needed === undefined ? {} : { needed: shape.needed, present: shape.present ?? 0, needed_unit: shape.neededUnit ?? "devices" }),
          treated: series(random, now, shape.level * (1 + (shape.metric === "disagreement" ? 0 : shape.estimate)), shape.level, shape.level * 0.05, false),
          ...(shape.control === "ceiling" ? {} : { control: series(random, now, shape.level, shape.level, shape.level * 0.03, false) }),
          difference,
          ...(shape.verdict === "harm" ? { where: [{ segment: "jetson-orin-nano, agent 0.1.0", worse: 3, of: 3, value: 0.152 }, { segment: "coral-dev", worse: 1, of: 2, value: 0.081 }, { segment: "x86-gateway", worse: 0, of: 1, value: 0.03 }] } : {}),
        },
    at: new Date(now).toISOString(),
  };
}

export function buildGates(now: number, story: Story, wave: number): GateResult[] {
  const isHarm = story === "harm";
  const shapes: Shape[] = [
    { gate: "error rate", metric: "error_rate", unit: "ratio", bound: 0.01, control: "own_history", estimate: -0.0002, width: 0.0012, level: 0.0021, verdict: "pass" },
    { gate: "disagreement", metric: "disagreement", unit: "ratio", bound: 0.05, control: "ceiling", estimate: isHarm ? 0.118 : 0.018, width: isHarm ? 0.029 : 0.006, level: isHarm ? 0.118 : 0.018, verdict: isHarm ? "harm" : "pass" },
    { gate: "latency p95", metric: "latency_p95", unit: "relative", bound: 0.25, control: "own_history", estimate: isHarm ? 0.21 : -0.07, width: isHarm ? 0.09 : 0.03, level: 41, verdict: isHarm ? "missing_devices" : "pass", ...(isHarm ? { needed: 18, present: 6 } : {}) },
    { gate: "temperature", metric: "temperature", unit: "°C", bound: 3, control: "matched", estimate: 0.9, width: story === "holding" ? 2.4 : 1.1, level: 56, verdict: story === "holding" ? "missing_devices" : "pass", ...(story === "holding" ? { needed: 14, present: 10 } : {}) },
    { gate: "memory", metric: "memory", unit: "ratio", bound: 0.1, control: "own_history", estimate: 0, width: 0, level: 0, verdict: story === "pass" ? "pass" : "not_enough_data", needed: 400, present: 211, neededUnit: "samples" },
  ];
  return shapes.map((shape, index) => build(now, wave, shape, 100 + index));
}
