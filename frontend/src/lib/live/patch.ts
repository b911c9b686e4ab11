/**
 * Applies live changes to the query cache. A change holds the newest values under the REST resource's names, so applying it
 * to what was read before gives what would be read now; what a change cannot say (who joined a filtered list, sums over the
 * fleet) is marked to be read again, at most once per `REFETCH_EVERY_MS` and key.
 */
import type { QueryClient, QueryKey } from "@tanstack/react-query";

import { keys } from "@/lib/api/keys";
import type { Pages } from "@/lib/api/queries/paged";
import type { GateResult, Overview, Rollout, Series, Wave } from "@/lib/api/types";
import type { Change } from "@/lib/live/socket";

export const REFETCH_EVERY_MS = 2_000;
const LONGEST_SERIES = 2_000;

type Data = Record<string, unknown>;

export class LivePatcher {
  private readonly client: QueryClient;
  private readonly due = new Map<string, QueryKey>();
  private readonly contact = new Map<string, string>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: QueryClient) {
    this.client = client;
  }

  apply(changes: readonly Change[]): void {
    for (const change of changes) this.applyOne(change);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private applyOne({ topic, kind, id, data }: Change): void {
    switch (kind) {
      case "device.changed":
        this.deviceChanged(id, data);
        return;
      case "device.health":
        this.deviceSample(id, data, "health", "health_at");
        return;
      case "device.window":
        this.deviceSample(id, data, "windows", "window_at");
        return;
      case "device.event":
        this.prepend(keys.devices.events(topicId(topic) ?? id), data);
        this.refetch(keys.devices.why(topicId(topic) ?? id));
        return;
      case "deployment.changed":
        this.patchRows(keys.deployments.all, id, data);
        this.refetch(keys.deployments.all);
        if (topicId(topic) !== null) this.refetch(keys.devices.why(topicId(topic) ?? ""));
        return;
      case "rollout.changed":
      case "deployment.counts":
        this.rolloutChanged(topicId(topic) ?? id, data);
        return;
      case "gate.changed":
        this.gateChanged(topicId(topic) ?? id, data);
        return;
      case "rollout.event":
        this.prepend(keys.rollouts.events(topicId(topic) ?? id), data);
        return;
      case "version.changed":
        this.patchRows(keys.versions.lists, id, withoutKeys(data, ["model"]));
        this.patchOne(keys.versions.detail(id), withoutKeys(data, ["model"]));
        this.refetch(keys.versions.all);
        this.refetch(keys.models);
        return;
      case "drift.changed":
        this.refetch(keys.drift.all);
        return;
      case "alert.changed":
        this.patchRows(keys.alerts.all, id, data);
        this.refetch(keys.alerts.all);
        this.refetch(keys.overview);
        return;
      case "job.changed":
        if (!this.patchRows(keys.jobs.all, id, data) || data["state"] !== "running") {
          this.refetch(keys.jobs.all);
          this.refetch(keys.overview);
        }
        return;
      default:
        // A newer server may know more kinds; what this one does not know it cannot be showing.
        return;
    }
  }

  private deviceChanged(id: string, data: Data): void {
    this.patchRows(keys.devices.lists, id, data);
    this.patchOne(keys.devices.detail(id), data);
    // Contact times come with every poll; sums over the fleet change only with state and contact.
    const contact = `${String(data["state"])} ${String(data["is_online"])}`;
    if (this.contact.get(id) === contact) return;
    this.contact.set(id, contact);
    for (const key of [keys.devices.lists, keys.devices.facets, keys.devices.summary, keys.overview]) this.refetch(key);
  }

  private deviceSample(id: string, data: Data, kind: "health" | "windows", atField: "health_at" | "window_at"): void {
    const field = kind === "health" ? "health" : "window";
    const sample = isData(data[field]) ? data[field] : data;
    const at = (data[atField] ?? data["at"] ?? data["ts"]) as string | number | undefined;
    if (at === undefined) return;
    this.patchRows(keys.devices.lists, id, { [field]: sample, [atField]: at });
    this.patchOne(keys.devices.detail(id), { [field]: sample, [atField]: at });
    this.client.setQueriesData<Series>({ queryKey: keys.devices.series(id), predicate: (query) => query.queryKey[3] === kind }, (series) => series && appendSample(series, at, sample));
  }

  private rolloutChanged(id: string, data: Data): void {
    const before = this.client.getQueryData<Rollout>(keys.rollouts.detail(id));
    const change = withoutKeys(data, ["waves"]);
    const merge = (rollout: Rollout): Rollout => ({ ...rollout, ...pickKnown(rollout, change), waves: mergeWaves(rollout.waves, data["waves"]) });
    this.client.setQueryData<Rollout>(keys.rollouts.detail(id), (rollout) => rollout && merge(rollout));
    const isListed = this.updateRows<Rollout>(keys.rollouts.lists, id, merge);
    this.client.setQueryData<Overview>(keys.overview, (overview) =>
      overview && { ...overview, rollouts_in_flight: overview.rollouts_in_flight.map((rollout) => (rollout.id === id ? merge(rollout) : rollout)) },
    );
    const isStep = before !== undefined && (("state" in data && data["state"] !== before.state) || ("released_wave" in data && data["released_wave"] !== before.released_wave));
    // A step changes more than it says: released and passed times, what comes next, which actions are left.
    if (isStep || before === undefined || !("waves" in data)) this.refetch(keys.rollouts.detail(id));
    if (isStep || !isListed) {
      this.refetch(keys.rollouts.lists);
      this.refetch(keys.overview);
      this.refetch(keys.deployments.all);
    }
  }

  private gateChanged(id: string, data: Data): void {
    if (typeof data["gate"] !== "string" || typeof data["wave"] !== "number" || !("verdict" in data) || !isData(data["data"])) {
      this.refetch(keys.rollouts.gates(id));
      return;
    }
    const result = data as unknown as GateResult;
    this.client.setQueryData<GateResult[]>(keys.rollouts.gates(id), (gates) => {
      if (gates === undefined) return undefined;
      const isSame = (gate: GateResult) => gate.wave === result.wave && gate.gate === result.gate;
      return gates.some(isSame) ? gates.map((gate) => (isSame(gate) ? result : gate)) : [...gates, result];
    });
    this.refetch(keys.rollouts.detail(id));
  }

  /** Merges `data` into one object under `key`, if it has been read. */
  private patchOne(key: QueryKey, data: Data): void {
    this.client.setQueryData<Data>(key, (old) => old && { ...old, ...pickKnown(old, data) });
  }

  private patchRows(key: QueryKey, id: string, data: Data): boolean {
    return this.updateRows<Data & { id: string }>(key, id, (row) => ({ ...row, ...pickKnown(row, data) }));
  }

  /** Replaces the row `id` in every page of every list below `key`; says whether there was one. */
  private updateRows<T extends { id: string }>(key: QueryKey, id: string, update: (row: T) => T): boolean {
    let isFound = false;
    this.client.setQueriesData<Pages<T>>({ queryKey: key, predicate: (query) => isPaged(query.state.data) }, (data) => {
      if (data === undefined) return undefined;
      if (!data.pages.some((page) => page.results.some((row) => row.id === id))) return data;
      isFound = true;
      return { ...data, pages: data.pages.map((page) => ({ ...page, results: page.results.map((row) => (row.id === id ? update(row) : row)) })) };
    });
    return isFound;
  }

  /** Puts a new event in front of a list that is read newest first. */
  private prepend(key: QueryKey, data: Data): void {
    if (typeof data["id"] !== "string" && typeof data["id"] !== "number") {
      this.refetch(key);
      return;
    }
    this.client.setQueryData<Pages<Data>>(key, (old) => {
      const [first, ...rest] = old?.pages ?? [];
      if (old === undefined || first === undefined || first.results.some((row) => row["id"] === data["id"])) return old;
      return { ...old, pages: [{ ...first, results: [data, ...first.results] }, ...rest] };
    });
  }

  /** Marks what is below `key` to be read again soon; many changes in a row cost one reading. */
  private refetch(key: QueryKey): void {
    this.due.set(JSON.stringify(key), key);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const due = [...this.due.values()];
      this.due.clear();
      for (const queryKey of due) void this.client.invalidateQueries({ queryKey });
    }, REFETCH_EVERY_MS);
  }
}

function topicId(topic: string): string | null {
  const colon = topic.indexOf(":");
  return colon < 0 ? null : topic.slice(colon + 1);
}

function isData(value: unknown): value is Data {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPaged(value: unknown): boolean {
  return isData(value) && Array.isArray(value["pages"]);
}

function withoutKeys(data: Data, names: readonly string[]): Data {
  return Object.fromEntries(Object.entries(data).filter(([key]) => !names.includes(key)));
}

/** Only what the resource has: a frame's extra fields are not smuggled into the cache. */
function pickKnown(target: object, data: Data): Data {
  return Object.fromEntries(Object.entries(data).filter(([key]) => key in target));
}

function mergeWaves(waves: readonly Wave[], changed: unknown): Wave[] {
  if (!Array.isArray(changed)) return [...waves];
  const byNumber = new Map((changed as Partial<Wave>[]).map((wave) => [wave.number, wave]));
  return waves.map((wave) => ({ ...wave, ...byNumber.get(wave.number) }));
}

/** Adds one row to a columnar series; a sample that came late or twice changes nothing. */
function appendSample(series: Series, at: string | number, sample: Data): Series {
  const last = series.ts.at(-1);
  const time = new Date(at).getTime();
  if (last !== undefined && new Date(last).getTime() >= time) return series;
  const start = Math.max(0, series.ts.length + 1 - LONGEST_SERIES);
  const next: Series = { ts: [...series.ts, typeof last === "number" ? time : at].slice(start) };
  for (const [column, values] of Object.entries(series)) {
    if (column === "ts") continue;
    const value = sample[column];
    next[column] = [...values, typeof value === "number" || typeof value === "string" ? value : null].slice(start);
  }
  return next;
}
