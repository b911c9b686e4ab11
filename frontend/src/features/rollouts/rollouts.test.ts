// @vitest-environment node
import { describe, expect, it } from "vitest";

import { gateAxis, toHarmBounds } from "@/components/ui/interval";
import { type Draft, draftFrom, problemsOf, readLabelText, readWaves, toRequest } from "@/features/rollouts/draft";
import { plotBounds } from "@/features/rollouts/gate-plots";
import { gateUnit, isDifference } from "@/features/rollouts/gate-values";
import { selectorText } from "@/features/rollouts/selector-text";
import { verdictOf } from "@/features/rollouts/verdict-line";
import { rolloutSums, versionStep } from "@/lib/rollout-sums";
import { IDS, POLICY } from "@/testing/mock-api/makers";
import { buildWorld } from "@/testing/mock-api/world";

const world = buildWorld(Date.parse("2026-11-20T14:32:00Z"));
const running = world.rollouts.find((rollout) => rollout.id === IDS.running);
const stopped = world.rollouts.find((rollout) => rollout.id === IDS.rolledBack);
if (running === undefined || stopped === undefined) throw new Error("the mock world lacks its rollouts");

describe("sums", () => {
  it("never count claimed as proven", () => {
    const sums = rolloutSums({ waves: [], counts: { proven: 5, probation: 3, planned: 2 } });
    expect([sums.total, sums.proven, sums.claimed]).toEqual([10, 5, 3]);
  });

  it("count as exposed whoever ran the version, also who is back", () => {
    expect(rolloutSums({ waves: [], counts: { rolled_back: 4, restoring: 1, probation: 1, cancelled: 55 } }).exposed).toBe(6);
  });

  it("take the plan where nothing is counted yet", () => {
    const wave = { number: 1, name: "all", device_count: 7, released_at: null, passed_at: null, counts: {} };
    expect(rolloutSums({ waves: [wave], counts: {} }).total).toBe(7);
  });

  it("name the step from what ran before", () => {
    expect([versionStep({ version: "1.1.0", previous_versions: ["1.0.0"] }), versionStep({ version: "1.0.0", previous_versions: [] }), versionStep({ version: "3", previous_versions: ["1", "2"] })]).toEqual(["1.0.0 → 1.1.0", "1.0.0", "2 versions → 3"]);
  });
});

describe("the verdict line", () => {
  it("says which wave holds and how many gates pass", () => {
    const line = verdictOf(running, world.gates.get(IDS.running) ?? []);
    expect([line.kind, line.head, line.text]).toEqual(["hold", "Wave 3 holds for more evidence.", "3 of 5 gates pass, none shows harm."]);
  });

  it("names the cause of a halt, the exposure and who is back", () => {
    const line = verdictOf(stopped, []);
    expect(line.kind).toBe("stop");
    expect(line.head).toBe("Halted, rolling back: disagreement.");
    expect(line.text).toContain("11.8 % of answers differ from 1.1.0");
    expect(line.text).toContain("4 of 6 devices that ran 1.2.0 are back.");
  });

  it("asks a person to decide when there is no verdict", () => {
    expect(verdictOf({ ...running, state: "needs_decision" }, []).head).toBe("Decide: wave 3 has no verdict.");
    expect(verdictOf({ ...running, state: "needs_decision" }, []).text).toContain("lets the wave pass on your word");
  });

  it("does not call claimed devices proven when it completes", () => {
    expect(verdictOf({ ...running, state: "completed" }, []).text).toBe("18 of 61 proven. 3 claimed do not count.");
  });
});

describe("gates on one axis", () => {
  it("puts harm to the right whatever the sign of the bound", () => {
    expect([toHarmBounds(0.5, 1), toHarmBounds(-0.015, -0.03), toHarmBounds(0.004, -0.03)?.toFixed(2), toHarmBounds(1, null), toHarmBounds(1, 0)]).toEqual([0.5, 0.5, "-0.13", null, null]);
  });

  it("stretches to hold the worst interval, but not without end", () => {
    const gate = { estimate: 2, low: 1, high: 3, harm_bound: 1, verdict: "harm" as const };
    expect(gateAxis([gate]).max).toBeGreaterThan(3);
    expect(gateAxis([{ ...gate, high: 100 }]).max).toBe(4);
    expect(gateAxis([])).toEqual({ min: -1.248, max: 1.56 });
  });

  it("reads latencies as relative and disagreement as a level", () => {
    expect(gateUnit({ metric: "latency_p95", unit: "ratio", control: "own_history" })).toBe("relative");
    expect(gateUnit({ metric: "error_rate", unit: "ratio", control: "own_history" })).toBe("ratio");
    expect([isDifference({ metric: "disagreement", control: "own_history" }), isDifference({ metric: "error_rate", control: "ceiling" }), isDifference({ metric: "error_rate", control: "matched" })]).toEqual([false, false, true]);
  });
});

describe("the planner's draft", () => {
  const draft: Draft = { ...draftFrom(POLICY, "v1"), name: "digits 1.2" };

  it("reads waves that rise above the canary and end at 100", () => {
    expect(readWaves("25, 50 100", 5)).toEqual([25, 50, 100]);
    expect([readWaves("50, 25, 100", 5), readWaves("25, 50", 5), readWaves("5, 100", 5), readWaves("a, 100", 5), readWaves("", 5)]).toEqual([null, null, null, null, null]);
  });

  it("reads labels", () => {
    expect([readLabelText("aisle=12, lens = wide"), readLabelText(""), readLabelText("aisle")]).toEqual([{ aisle: "12", lens: "wide" }, {}, null]);
  });

  it("says what is wrong and what to enter", () => {
    expect(problemsOf(draft)).toEqual({});
    expect(problemsOf({ ...draft, name: "", version: null, waves: "1", labels: "x", gates: [{ name: "error rate", metric: "error_rate", harm_bound: 0, ceiling: null }] })).toMatchObject({ name: "Enter a name people will recognise.", version: "Choose the version to roll out.", gates: "Give error rate a bound above 0: at 0 every wave halts." });
  });

  it("sends what the server's policy knows, and nothing while it cannot be read", () => {
    expect(toRequest({ ...draft, waves: "x" })).toBeNull();
    expect(toRequest(draft)?.policy).toMatchObject({ canary_percent: 5, waves: [25, 50, 100], evidence_required: "observed", rollback_on_halt: true });
    expect(toRequest({ ...draft, strategy: "all_at_once", waves: "x" })?.policy).not.toHaveProperty("waves");
  });

  it("writes a selector as one line", () => {
    expect(selectorText({ regions: ["eu-north", "eu-west"], models: ["digits@1.0.0"], labels: { lens: "wide" } })).toBe("region in (eu-north, eu-west) and model = digits@1.0.0 and label lens = wide");
    expect(selectorText({})).toBe("all accepted devices");
  });
});

describe("the plots of a gate", () => {
  const series = { ts: [1, 2, 3], value: [0.4, 0.1, 0.12], low: [-2.7, 0.05, 0.08], high: [3.5, 0.2, 0.16] };

  it("are not flattened by the width a sequence begins with", () => {
    const bounds = plotBounds(series, [], 0.05, true, true);
    expect([bounds.min, bounds.max <= 0.5]).toEqual([0, true]);
  });

  it("show both sides of zero for a difference", () => {
    const bounds = plotBounds(series, [], 0.05, false, true);
    expect(bounds.min).toBeLessThan(0);
    expect(bounds.max).toBeGreaterThanOrEqual(0.36);
  });
});
