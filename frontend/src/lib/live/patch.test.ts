import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { deviceEventsQuery, deviceQuery, deviceSeriesQuery, devicesQuery } from "@/lib/api/queries/fleet";
import { jobsQuery, overviewQuery } from "@/lib/api/queries/insights";
import { rowsOf } from "@/lib/api/queries/paged";
import { rolloutEventsQuery, rolloutGatesQuery, rolloutQuery, rolloutsQuery } from "@/lib/api/queries/rollouts";
import type { Series } from "@/lib/api/types";
import { LivePatcher, REFETCH_EVERY_MS } from "@/lib/live/patch";
import { MockServer } from "@/testing/mock-api/server";
import { countAll, IDS } from "@/testing/mock-api/makers";
import type { World } from "@/testing/mock-api/world";

const NOW = Date.parse("2026-11-20T14:32:00Z");

let server: MockServer;
let world: World;
let client: QueryClient;
let patcher: LivePatcher;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW }); // the world's series end now: those who ask for the last hours mean the same clock
  server = new MockServer(NOW);
  world = server.world;
  vi.stubGlobal("fetch", server.fetch);
  client = new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: Infinity } } });
  patcher = new LivePatcher(client);
});

afterEach(() => {
  patcher.stop();
  client.clear();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const must = <T>(value: T | undefined): NonNullable<T> => {
  if (value === undefined || value === null) throw new Error("the mock world lacks what this test needs");
  return value;
};

/** What a fresh client would read now. */
const fresh = () => new QueryClient({ defaultOptions: { queries: { retry: false } } });

describe("applying frames equals reading again", () => {
  it("for a device that goes offline", async () => {
    const device = must(world.devices[0]);
    await client.query(deviceQuery(device.id));
    await client.infiniteQuery(devicesQuery({}));
    Object.assign(device, { is_online: false, last_seen_at: "2026-11-20T14:30:00Z" });
    patcher.apply([{ topic: "devices", kind: "device.changed", id: device.id, data: { state: device.state, is_online: false, last_seen_at: device.last_seen_at } }]);
    expect(client.getQueryData(deviceQuery(device.id).queryKey)).toEqual(await fresh().query(deviceQuery(device.id)));
    expect(client.getQueryData(devicesQuery({}).queryKey)).toEqual(await fresh().infiniteQuery(devicesQuery({})));
  });

  it("for a sample of health", async () => {
    const device = must(world.devices[1]);
    await client.query(deviceQuery(device.id));
    const health = { ...device.health, cpu_ratio: 0.99 };
    Object.assign(device, { health, health_at: "2026-11-20T14:32:04Z" });
    patcher.apply([{ topic: `device:${device.id}`, kind: "device.health", id: device.id, data: { health, health_at: "2026-11-20T14:32:04Z" } }]);
    expect(client.getQueryData(deviceQuery(device.id).queryKey)).toEqual(await fresh().query(deviceQuery(device.id)));
  });

  it("for the counts of a rollout, in its page, its list and the overview", async () => {
    const rollout = must(world.rollouts.find((entry) => entry.id === IDS.running));
    await client.query(rolloutQuery(rollout.id));
    await client.infiniteQuery(rolloutsQuery({}));
    await client.query(overviewQuery);
    const wave = must(rollout.waves[2]);
    wave.counts = { ...wave.counts, probation: 2, proven: 8 };
    rollout.counts = countAll(rollout.waves.map((entry) => entry.counts));
    patcher.apply([{ topic: `rollout:${rollout.id}`, kind: "deployment.counts", id: rollout.id, data: { counts: rollout.counts, waves: [{ number: 3, counts: wave.counts }] } }]);
    expect(client.getQueryData(rolloutQuery(rollout.id).queryKey)).toEqual(await fresh().query(rolloutQuery(rollout.id)));
    expect(client.getQueryData(rolloutsQuery({}).queryKey)).toEqual(await fresh().infiniteQuery(rolloutsQuery({})));
    expect(client.getQueryData(overviewQuery.queryKey)?.rollouts_in_flight).toEqual((await fresh().query(overviewQuery)).rollouts_in_flight);
  });

  it("for a gate that finds harm, and for a gate judged for the first time", async () => {
    const gates = must(world.gates.get(IDS.running));
    await client.query(rolloutGatesQuery(IDS.running));
    Object.assign(must(gates[0]), { verdict: "harm", estimate: 0.03 });
    const first = { ...must(gates[0]), wave: 4 };
    gates.push(first);
    patcher.apply([must(gates[0]), first].map((gate) => ({ topic: `rollout:${IDS.running}`, kind: "gate.changed", id: gate.gate, data: JSON.parse(JSON.stringify(gate)) as Record<string, unknown> })));
    expect(client.getQueryData(rolloutGatesQuery(IDS.running).queryKey)).toEqual(await fresh().query(rolloutGatesQuery(IDS.running)));
  });

  it("for a new event, once, however often it comes", async () => {
    const events = must(world.rolloutEvents.get(IDS.running));
    await client.infiniteQuery(rolloutEventsQuery(IDS.running));
    const event = { id: "new", at: "2026-11-20T14:32:05Z", kind: "wave.released", text: "Wave 4 released", data: {} };
    events.unshift(event);
    const change = { topic: `rollout:${IDS.running}`, kind: "rollout.event", id: "new", data: event };
    patcher.apply([change, change]);
    expect(client.getQueryData(rolloutEventsQuery(IDS.running).queryKey)).toEqual(await fresh().infiniteQuery(rolloutEventsQuery(IDS.running)));
  });

  it("for the progress of a job", async () => {
    const job = must(world.jobs.find((entry) => entry.state === "running"));
    await client.infiniteQuery(jobsQuery({}));
    Object.assign(job, { progress_ratio: 0.9, progress_text: "evaluates 324 of 360 rows" });
    patcher.apply([{ topic: "jobs", kind: "job.changed", id: job.id, data: { state: "running", progress_ratio: 0.9, progress_text: job.progress_text } }]);
    expect(rowsOf(client.getQueryData(jobsQuery({}).queryKey))).toEqual(world.jobs);
  });
});

describe("series", () => {
  it("grow by one row per sample, and not by one that came late", async () => {
    const device = must(world.devices[0]);
    const query = deviceSeriesQuery(device.id, "health", 12);
    const before = await client.query(query);
    const late = { topic: `device:${device.id}`, kind: "device.health", id: device.id, data: { health: { cpu_ratio: 0.1 }, health_at: "2026-11-20T01:00:00Z" } };
    const next = { ...late, data: { health: { cpu_ratio: 0.7 }, health_at: "2026-11-20T14:33:00Z" } };
    patcher.apply([late, next]);
    const after = must(client.getQueryData<Series>(query.queryKey));
    expect(after.ts).toHaveLength(before.ts.length + 1);
    expect([after["cpu_ratio"]?.at(-1), after["temperature_c"]?.at(-1)]).toEqual([0.7, null]);
  });
});

describe("reading again", () => {
  it("happens once for many changes, and not for a contact time alone", async () => {
    const device = must(world.devices[0]);
    const unsubscribe = client.getQueryCache().subscribe(() => undefined);
    await client.query(overviewQuery);
    const spy = vi.spyOn(client, "invalidateQueries");
    const change = (seconds: number) => ({ topic: "devices", kind: "device.changed", id: device.id, data: { state: "accepted", is_online: true, last_seen_at: `2026-11-20T14:32:${String(seconds).padStart(2, "0")}Z` } });
    patcher.apply([change(1), change(2), change(3)]);
    await vi.advanceTimersByTimeAsync(REFETCH_EVERY_MS);
    const first = spy.mock.calls.filter(([filter]) => JSON.stringify(filter?.queryKey) === JSON.stringify(overviewQuery.queryKey)).length;
    patcher.apply([change(4), change(5)]);
    await vi.advanceTimersByTimeAsync(REFETCH_EVERY_MS);
    const second = spy.mock.calls.filter(([filter]) => JSON.stringify(filter?.queryKey) === JSON.stringify(overviewQuery.queryKey)).length;
    expect([first, second]).toEqual([1, 1]);
    unsubscribe();
  });

  it("ignores kinds it does not know and things nobody has read", () => {
    patcher.apply([
      { topic: "devices", kind: "device.teleported", id: "x", data: {} },
      { topic: "device:y", kind: "device.event", id: "y", data: { id: "e", at: "", kind: "", text: "" } },
    ]);
    expect(client.getQueryData(deviceEventsQuery("y").queryKey)).toBeUndefined();
  });
});
