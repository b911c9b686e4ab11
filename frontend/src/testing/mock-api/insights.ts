/** What the server derives from the fleet: summary, facets, overview, drift, series. */
import type { AreaHealth, Device, DeviceFacets, DeviceSummary, Drift, DriftCell, DriftCellDetail, HourState, Overview, Series, Tally, Why } from "@/lib/api/types";
import { seeded } from "@/testing/mock-api/random";
import { IDS } from "@/testing/mock-api/makers";
import type { World } from "@/testing/mock-api/world";

const MINUTE = 60_000;

function tally(devices: readonly Device[]): Tally {
  const online = devices.filter((device) => device.is_online).length;
  return { total: devices.length, online, offline: devices.length - online };
}

function groups<K extends string>(devices: readonly Device[], keyOf: (device: Device) => K | undefined): [K, Device[]][] {
  const map = new Map<K, Device[]>();
  for (const device of devices) {
    const key = keyOf(device);
    if (key !== undefined) map.set(key, [...(map.get(key) ?? []), device]);
  }
  return [...map];
}

export function summary(world: World): DeviceSummary {
  const { devices, sites } = world;
  return {
    ...tally(devices),
    by_state: Object.fromEntries(groups(devices, (device) => device.state).map(([state, list]) => [state, list.length])),
    by_region: groups(devices, (device) => device.region?.name).map(([region, list]) => ({ region, ...tally(list) })),
    by_site: groups(devices, (device) => device.site?.name).map(([site, list]) => {
      const place = sites.find((entry) => entry.name === site);
      return { site, region: place?.region.name ?? "", ...tally(list), latitude_deg: place?.latitude_deg ?? null, longitude_deg: place?.longitude_deg ?? null };
    }),
    by_hardware_profile: groups(devices, (device) => device.hardware_profile.name).map(([hardware_profile, list]) => ({ hardware_profile, ...tally(list) })),
  };
}

export function filterDevices(devices: readonly Device[], query: URLSearchParams): Device[] {
  const wants = (name: string, value: string | undefined) => query.get(name) === null || query.get(name) === value;
  const search = query.get("search")?.toLowerCase();
  const [labelKey, labelValue] = query.get("label")?.split("=") ?? [];
  return devices.filter(
    (device) =>
      wants("state", device.state) &&
      wants("is_online", String(device.is_online)) &&
      wants("region", device.region?.name) &&
      wants("site", device.site?.name) &&
      wants("hardware_profile", device.hardware_profile.name) &&
      (query.get("model") === null || device.installed.some((model) => model.model === query.get("model") && (query.get("version") === null || model.version === query.get("version")))) &&
      (labelKey === undefined || device.labels[labelKey] === labelValue) &&
      (search === undefined || device.name.includes(search)),
  );
}

export function facets(world: World, query: URLSearchParams): DeviceFacets {
  const matching = filterDevices(world.devices, query);
  const count = (keyOf: (device: Device) => string | undefined) => {
    const all = groups(world.devices, keyOf).map(([value]) => value);
    return all.map((value) => ({ value, count: matching.filter((device) => keyOf(device) === value).length }));
  };
  const versions = [...new Set(world.devices.flatMap((device) => device.installed.map((model) => `${model.model} ${model.version}`)))];
  return {
    count: matching.length,
    state: count((device) => device.state),
    region: count((device) => device.region?.name),
    site: count((device) => device.site?.name),
    hardware_profile: count((device) => device.hardware_profile.name),
    is_online: [true, false].map((value) => ({ value, count: matching.filter((device) => device.is_online === value).length })),
    version: versions.map((value) => ({ value: value.split(" ")[1] ?? "", model: value.split(" ")[0] ?? "", count: matching.filter((device) => device.installed.some((model) => `${model.model} ${model.version}` === value)).length })),
  };
}

function hours(seed: number, isBad: boolean): HourState[] {
  const random = seeded(seed);
  return Array.from({ length: 24 }, (_, hour) => (isBad && hour > 21 ? "warning" : seed % 5 === 0 && hour > 3 && hour < 6 ? "no_data" : random() > 0.985 ? "warning" : "ok"));
}

function area(devices: readonly Device[], seed: number): AreaHealth {
  const counts = tally(devices);
  const isBad = counts.offline > 0;
  return { ...counts, error_ratio: 0.0018 + seed * 0.0002, latency_ms_p95: 3.8 + seed * 0.3, severity: isBad ? "warning" : null, hours: hours(seed, isBad) };
}

export function overview(world: World): Overview {
  const { devices, rollouts } = world;
  const reachable = devices.filter((device) => device.state === "accepted");
  const proven = reachable.filter((device) => device.installed.length === 2).length;
  const points = Array.from({ length: 96 }, (_, index) => world.now - (95 - index) * 15 * MINUTE);
  const random = seeded(3);
  const active = rollouts.filter((rollout) => ["running", "paused", "needs_decision", "halted", "rolling_back"].includes(rollout.state));
  const claimed = active.reduce((sum, rollout) => sum + (rollout.counts.probation ?? 0), 0);
  const open = world.alerts.filter((alert) => alert.state === "open");
  const halted = rollouts.filter((rollout) => rollout.state === "halted" || rollout.state === "rolling_back");
  return {
    devices: summary(world),
    figures: { online_ratio: tally(devices).online / devices.length, proven_ratio: proven / reachable.length, proven_count: proven, claimed_count: claimed, target_count: reachable.length, inference_rate_s: 851.2, error_ratio: 0.0021, latency_ms_p95: 4.1 },
    figure_series: {
      ts: points.map((at) => new Date(at).toISOString()),
      online_ratio: points.map((_, index) => (index > 40 && index < 44 ? null : 0.97 + random() * 0.02)),
      proven_ratio: points.map((_, index) => 0.9 + index * 0.0009),
      inference_rate_s: points.map((_, index) => 700 + 200 * Math.sin(index / 15) + random() * 20),
      error_ratio: points.map(() => 0.002 + random() * 0.0008),
      latency_ms_p95: points.map(() => 3.9 + random() * 0.4),
    },
    regions: world.regions.map((region, index) => {
      const mine = devices.filter((device) => device.region?.name === region.name);
      const sites = groups(mine, (device) => device.site?.name).map(([site, list], place) => ({ site, ...area(list, index + place + 1) }));
      return { region: region.name, site_count: sites.length, ...area(mine, index + 1), sites: sites.toSorted((a, b) => b.offline - a.offline).slice(0, 3) };
    }),
    attention: [
      ...halted.map((rollout) => ({ kind: "rollout" as const, id: rollout.id, severity: "critical" as const, title: `${rollout.name} halted: ${rollout.halt_reason?.metric ?? ""}`, text: rollout.halt_reason?.text ?? "", since: new Date(world.now - 6 * MINUTE).toISOString(), before: "wave 1 released 28 min before (6 of 6 devices match)" })),
      ...open.map((alert) => ({ kind: "alert" as const, id: alert.id, severity: alert.severity, title: alert.title, text: alert.text, since: alert.opened_at, before: null })),
    ],
    rollouts_in_flight: active,
    waiting: { approvals: world.versions.filter((version) => version.approval === "requested").length, decisions: 0, devices_pending: devices.filter((device) => device.state === "pending").length, devices_quarantined: devices.filter((device) => device.state === "quarantined").length, certificates_expiring: 0 },
    counts: { models: world.models.length, rollouts_active: active.length, drift_alerting: 1, alerts_critical: open.filter((alert) => alert.severity === "critical").length, alerts_open: open.length, jobs_active: world.jobs.filter((job) => job.state === "running" || job.state === "queued").length },
  };
}

const FEATURES = [
  { name: "brightness", kind: "input" as const },
  { name: "contrast", kind: "input" as const },
  { name: "sharpness", kind: "input" as const },
  { name: "confidence", kind: "output" as const },
  { name: "margin", kind: "output" as const },
  { name: "class", kind: "output" as const },
];

function cells(world: World): DriftCell[] {
  const random = seeded(21);
  return world.regions.flatMap((region) =>
    world.profiles.flatMap((profile, profileIndex) =>
      FEATURES.flatMap((feature): DriftCell[] => {
        const few = region.name === "us-east" && profileIndex === 2;
        const score = region.name === "eu-north" ? { contrast: 0.31 - profileIndex * 0.04, sharpness: 0.14, confidence: 0.12 - profileIndex * 0.05 }[feature.name] : undefined;
        const value = score ?? random() * 0.05;
        if (region.name === "eu-central" && profileIndex === 1 && feature.name === "class") return [];
        return [{ region: region.name, hardware_profile: profile.name, feature: feature.name, verdict: few ? "not_enough_data" : value >= 0.25 ? "alert" : value >= 0.1 ? "warn" : "quiet", cause: value >= 0.1 ? "shape" : "", device_count: 6, mean_shift: null, missing_ratio: 0, outside_ratio: 0, row_count: few ? 214 : 2_400 + profileIndex * 800, psi: few ? null : value + 0.01, psi_excess: few ? null : value, js_distance: few ? null : value / 2, ks_distance: few ? null : value / 1.6, p_value: few ? null : 0.2 - value / 2, mean_reference: 0.42, mean_current: score === undefined ? 0.425 : 0.31 }];
      }),
    ),
  );
}

export function drift(world: World, versionId: string | null): Drift {
  const version = world.versions.find((entry) => entry.id === versionId) ?? world.versions.find((entry) => entry.version === "1.1.0");
  const judged = world.versions.filter((entry) => entry.has_reference_profile);
  return {
    model: version?.model.name ?? null,
    version: version?.version ?? null,
    version_id: version?.id ?? null,
    window: { start: new Date(world.now - 60 * MINUTE).toISOString(), end: new Date(world.now).toISOString() },
    features: FEATURES,
    segments: world.regions.flatMap((region) => world.profiles.map((profile) => ({ region: region.name, hardware_profile: profile.name, device_count: world.devices.filter((device) => device.region?.name === region.name && device.hardware_profile.name === profile.name).length }))),
    cells: cells(world),
    versions: judged.map((entry) => ({ model: entry.model.name, version: entry.version, version_id: entry.id, worst: entry.version === "1.1.0" ? "alert" : "quiet" })),
    false_discovery_ratio: 0.05,
  };
}

export function driftCell(world: World, query: URLSearchParams): DriftCellDetail {
  const isDrifting = query.get("region") === "eu-north" && query.get("feature") === "contrast";
  const random = seeded(5);
  const edges = Array.from({ length: 61 }, (_, index) => index / 60);
  const bell = (mean: number) => {
    const raw = edges.slice(0, 60).map((edge) => Math.exp(-(((edge - mean) / 0.12) ** 2)));
    const sum = raw.reduce((total, value) => total + value, 0);
    return raw.map((value) => value / sum);
  };
  return {
    history: Array.from({ length: 72 }, (_, index) => index).flatMap((index) => (index > 28 && index < 34 ? [] : [{ at: new Date(world.now - (72 - index) * 20 * MINUTE).toISOString(), psi_excess: isDrifting && index > 58 ? Math.min(0.31, (index - 58) * 0.06) : 0.02 + random() * 0.02, verdict: "quiet" as const, row_count: 2400 }])),
    distribution: { edges, reference: bell(0.42), current: bell(isDrifting ? 0.31 : 0.425) },
    devices: filterDevices(world.devices, new URLSearchParams({ region: query.get("region") ?? "", hardware_profile: query.get("hardware_profile") ?? "" })).map((device, index) => ({ id: device.id, name: device.name, site: device.site?.name ?? null, psi_excess: isDrifting ? 0.52 - index * 0.04 : 0.02, mean: 0.31, row_count: 840 - index })),
    marks: [
      { at: new Date(world.now - 20 * 60 * MINUTE).toISOString(), kind: "rollout.completed", text: "1.1.0 proven on all", id: IDS.rolledBack },
      { at: new Date(world.now - 5 * 60 * MINUTE).toISOString(), kind: "configuration", text: "exposure = auto", id: null },
    ],
  };
}

/** Twelve hours of readings at one minute, with 52 minutes missing. */
export function deviceSeries(world: World, device: Device, kind: "health" | "windows", since: number): Series {
  const random = seeded(device.name.length + device.created_at.length);
  const start = Math.max(since, world.now - 12 * 60 * MINUTE);
  const step = Math.max(MINUTE, Math.floor((world.now - start) / 720));
  const ts: number[] = [];
  for (let at = start; at <= world.now; at += step) if (at < world.now - 132 * MINUTE || at > world.now - 80 * MINUTE) ts.push(at);
  const rise = (at: number) => 1 / (1 + Math.exp(-(at - (world.now - 8 * 60 * MINUTE)) / (15 * MINUTE)));
  if (kind === "health") {
    return { ts: ts.map((at) => new Date(at).toISOString()), cpu_ratio: ts.map((at) => 0.12 + 0.25 * rise(at) + random() * 0.04), temperature_c: ts.map((at) => 47 + 13 * rise(at) + random()), memory_used_ratio: ts.map(() => 0.5 + random() * 0.02), storage_used_ratio: ts.map(() => 0.7) };
  }
  return { ts: ts.map((at) => new Date(at).toISOString()), window_s: ts.map(() => 10), inference_count: ts.map((at) => Math.round(140 * rise(at) + 12 + random() * 6)), latency_ms_p95: ts.map(() => 3.8 + random() * 0.5), confidence_mean: ts.map(() => 0.92 + random() * 0.02) };
}

export function why(world: World, device: Device): Why {
  const deployment = world.deployments.find((entry) => entry.rollout.id === IDS.running && entry.device.id === device.id);
  if (deployment === undefined) return { target: null, is_on_target: false, steps: [], next: null };
  const isProven = deployment.state === "proven";
  const isReleased = deployment.state !== "planned";
  return {
    target: { model: "shelf-gap", version: "2.4.0", rollout_id: IDS.running },
    is_on_target: isProven,
    steps: [
      { key: "selected", state: "done", title: "Selected by the rollout", text: "runs shelf-gap 2.3.1", link: null },
      { key: "variant", state: "done", title: "Has a variant and a fitting schema", text: "fp32 for any hardware, 412 kB", link: null },
      { key: "wave", state: isReleased ? "done" : "waiting", title: isReleased ? "Its wave is released" : "Its wave is not released", text: isReleased ? `wave ${deployment.wave}` : `Wave ${deployment.wave} waits for wave 3, which holds: temperature lacks 4 devices.`, link: { kind: "rollout", id: IDS.running } },
      { key: "install", state: isProven ? "done" : isReleased ? "waiting" : "next", title: "Download, install, soak 30 min", text: isReleased && !isProven ? `now ${deployment.state}` : "", link: null },
      { key: "proof", state: isProven ? "done" : "next", title: "Signed report of the running digest", text: "", link: null },
    ],
    next: isProven ? null : { text: "wave 3 is judged again on every report, expected to pass", at: new Date(world.now + 38 * MINUTE).toISOString() },
  };
}
