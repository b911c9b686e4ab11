// @vitest-environment node
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { alertDenial, deviceDenial, hasRole, jobDenial, ROLLOUT_ACTIONS, rolloutDenial, versionDenial } from "@/lib/api/capabilities";
import type { RolloutState } from "@/lib/api/types";

describe("roles", () => {
  it("includes the roles below", () => {
    expect(hasRole("administrator", "operator")).toBe(true);
    expect(hasRole("viewer", "operator")).toBe(false);
  });

  it("tells a viewer which role is missing instead of hiding the action", () => {
    expect(rolloutDenial("pause", { state: "running" }, "viewer")).toContain("operator");
    expect(versionDenial("approve", { state: "ready", approval: "requested" }, "operator")).toContain("administrator");
  });
});

describe("rollouts", () => {
  it("pauses what runs and nothing else", () => {
    expect(rolloutDenial("pause", { state: "running" }, "operator")).toBeNull();
    expect(rolloutDenial("pause", { state: "completed" }, "operator")).toBe("A rollout that is completed cannot be paused.");
  });

  it("agrees with the server's table of transitions", () => {
    const table = readFileSync(new URL("../../../../rollouts/policy/transitions.py", import.meta.url), "utf8");
    const rows = [...(/^ROLLOUT[^{]*\{([\s\S]*?)^\}/m.exec(table)?.[1] ?? "").matchAll(/^\s*R\.([A-Z_]+):\s*frozenset\((?:\{([^}]*)\})?\)/gm)];
    expect(rows.length).toBeGreaterThan(10);
    const moves = new Map(rows.map(([, from = "", to = ""]) => [from.toLowerCase(), [...to.matchAll(/R\.([A-Z_]+)/g)].map(([, state = ""]) => state.toLowerCase())]));
    const targets: Record<keyof typeof ROLLOUT_ACTIONS, string[]> = { start: ["planning", "scheduled", "awaiting_approval"], pause: ["paused"], resume: ["running"], halt: ["halted"], rollback: ["rolling_back"], cancel: ["cancelled", "cancelling"] };
    for (const [action, states] of Object.entries(ROLLOUT_ACTIONS)) {
      for (const state of states) {
        const reachable = moves.get(state satisfies RolloutState) ?? [];
        expect(targets[action as keyof typeof targets].some((target) => reachable.includes(target)), `${action} from ${state}`).toBe(true);
      }
    }
  });
});

describe("versions", () => {
  it("walks from request to approval to rollout", () => {
    expect(versionDenial("request-approval", { state: "ready", approval: "none" }, "operator")).toBeNull();
    expect(versionDenial("approve", { state: "ready", approval: "requested" }, "administrator")).toBeNull();
    expect(versionDenial("roll-out", { state: "ready", approval: "approved" }, "operator")).toBeNull();
  });

  it("refuses what has not been asked for, and what is not ready", () => {
    expect(versionDenial("approve", { state: "ready", approval: "none" }, "administrator")).toBe("Approval has not been requested.");
    expect(versionDenial("request-approval", { state: "validating", approval: "none" }, "operator")).toContain("validating");
    expect(versionDenial("roll-out", { state: "ready", approval: "requested" }, "operator")).toContain("approved");
  });
});

describe("devices, jobs, alerts", () => {
  it("accepts pending and quarantined devices, never decommissioned ones", () => {
    expect(deviceDenial("accept", { state: "pending" }, "operator")).toBeNull();
    expect(deviceDenial("accept", { state: "decommissioned" }, "operator")).not.toBeNull();
  });

  it("retries what failed and cancels what is not over", () => {
    expect([jobDenial("retry", { state: "failed" }, "operator"), jobDenial("cancel", { state: "running" }, "operator")]).toEqual([null, null]);
    expect(jobDenial("cancel", { state: "done" }, "operator")).not.toBeNull();
  });

  it("acknowledges once", () => {
    expect(alertDenial("acknowledge", { state: "open", acknowledged_at: null }, "operator")).toBeNull();
    expect(alertDenial("acknowledge", { state: "open", acknowledged_at: "2026-11-20T14:00:00Z" }, "operator")).not.toBeNull();
  });
});
