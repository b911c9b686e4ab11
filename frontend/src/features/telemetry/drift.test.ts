// @vitest-environment node
import { describe, expect, it } from "vitest";

import { findGaps, mergeMarks, niceBounds, niceRange, withGaps } from "@/components/ui/chart-parts";
import { driftSentence, heatStep, worstCell } from "@/features/telemetry/drift-steps";
import { drift } from "@/testing/mock-api/insights";
import { buildWorld } from "@/testing/mock-api/world";

describe("the heat map", () => {
  it("colours by the verdict and only shades what is quiet by its score", () => {
    expect([0.01, 0.03, 0.07].map((psi_excess) => heatStep({ verdict: "quiet", psi_excess }))).toEqual(["1", "2", "3"]);
    expect([heatStep({ verdict: "warn", psi_excess: 0.01 }), heatStep({ verdict: "alert", psi_excess: 0.3 })]).toEqual(["4", "5"]);
  });

  it("shows not enough data as neither quiet nor zero", () => {
    expect([heatStep({ verdict: "not_enough_data", psi_excess: 0 }), heatStep({ verdict: "quiet", psi_excess: null })]).toEqual(["none", "none"]);
  });

  it("looks at the worst cell first and counts the rest", () => {
    const map = drift(buildWorld(0), null);
    expect(worstCell(map)).toMatchObject({ region: "eu-north", feature: "contrast", verdict: "alert" });
    expect(driftSentence(map)).toBe("2 cells alert, 5 warn, 40 quiet, 6 lack data");
  });
});

describe("gaps", () => {
  const times = [0, 1, 2, 3, 10, 11];

  it("are stretches longer than three intervals", () => {
    expect(findGaps(times, (length) => `no data ${length}`)).toEqual([{ from: 3, to: 10, text: "no data 7" }]);
    expect(findGaps([0, 1], String)).toEqual([]);
  });

  it("are judged by the pace beside them: readings that come faster later leave no gap before", () => {
    const minutes = [0, 60, 120, 180, 240, 300];
    const seconds = Array.from({ length: 40 }, (_, index) => 301 + index);
    expect(findGaps([...minutes, ...seconds], String)).toEqual([]);
    expect(findGaps([...minutes, ...seconds, 400, 401, 402], String)).toEqual([{ from: 340, to: 400, text: "60" }]);
  });

  it("are not drawn across", () => {
    const gaps = findGaps(times, String);
    expect(withGaps(times, [1, 1, 1, 1, 1, 1], gaps).find(([, value]) => value === null)).toEqual([6.5, null]);
  });
});

describe("marks", () => {
  it("become one where their names would run into each other", () => {
    const mark = (at: number, text: string) => ({ at, text, kind: "event" as const });
    expect(mergeMarks([mark(90, "late"), mark(10, "a"), mark(12, "b"), mark(14, "c")], 0, 100).map(({ at, text }) => [at, text])).toEqual([
      [10, "3 changes"],
      [90, "late"],
    ]);
  });
});

describe("axes", () => {
  it("end at round numbers and start at zero", () => {
    expect(niceRange([0, 14.2])).toEqual({ min: 0, max: 20, interval: 10 });
    expect(niceRange([null])).toMatchObject({ min: 0 });
  });

  it("hold both signs", () => {
    const bounds = niceBounds([-0.02, 0.05, 0]);
    expect(bounds.min).toBeLessThanOrEqual(-0.02);
    expect(bounds.max).toBeGreaterThanOrEqual(0.05);
  });
});
