/** How the mock server's devices, versions and rollouts are made; counts are counted from what was made. */
import type { Counts, Deployment, DeploymentState, Device, EvaluationSet, HardwareProfile, ModelVersion, Named, Policy, Rollout, Site } from "@/lib/api/types";
import { mockId, seeded } from "@/testing/mock-api/random";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const POLICY: Policy = {
  canary_percent: 5,
  waves: [25, 50, 100],
  holdout_percent: 5,
  cover_strata: true,
  soak_s: 1800,
  evidence_required: "observed",
  shadow_every: 10,
  gates: [
    { name: "disagreement", metric: "disagreement", harm_bound: null, ceiling: 0.05, minimum_devices: 3, minimum_samples: 100, is_optional: true },
    { name: "latency p95", metric: "latency_p95", harm_bound: 0.25, ceiling: null, minimum_devices: 3, minimum_samples: 100, is_optional: true },
    { name: "error rate", metric: "error_rate", harm_bound: 0.01, ceiling: 0.05, minimum_devices: 3, minimum_samples: 100, is_optional: false },
    { name: "temperature", metric: "temperature", harm_bound: 3, ceiling: null, minimum_devices: 3, minimum_samples: 100, is_optional: true },
  ],
  gate_interval_s: 30,
  proven_percent: 90,
  max_failed_percent: 10,
  patience_s: 86_400,
  rollback_on_halt: true,
};

export const IDS = {
  okafor: { id: mockId(1, 1), name: "R. Okafor" },
  lindqvist: { id: mockId(1, 2), name: "M. Lindqvist" },
  digits: mockId(20, 1),
  shelfGap: mockId(20, 2),
  rolledBack: mockId(30, 3),
  running: mockId(30, 4),
  draft: mockId(30, 5),
};

export const at = (now: number, ago: number) => new Date(now - ago).toISOString();
export const digest = (seed: number) => Array.from({ length: 64 }, (_, index) => ((seed * 7 + index * 13 + (index % 5) * seed) % 16).toString(16)).join("");

export function buildDevices(now: number, sites: Site[], profiles: HardwareProfile[]): Device[] {
  const random = seeded(7);
  return Array.from({ length: 63 }, (_, index): Device => {
    const site = sites[index % sites.length];
    const profile = profiles[Math.floor(index / 3) % profiles.length];
    if (site === undefined || profile === undefined) throw new Error("the fleet needs sites and profiles");
    const isPending = index === 61;
    const isOnline = !isPending && index !== 5 && index !== 19 && index !== 62;
    const hot = index % 9 === 0 ? 9 : 0;
    return {
      id: mockId(10, index + 1),
      controller_id: `cam-${site.name.slice(0, 3).toLowerCase()}-${String(index + 1).padStart(4, "0")}`,
      name: `cam-${site.name.slice(0, 3).toLowerCase()}-${String(index + 1).padStart(4, "0")}`,
      state: isPending ? "pending" : index === 19 ? "quarantined" : "accepted",
      is_online: isOnline,
      last_seen_at: isPending ? null : at(now, isOnline ? 1_000 + random() * 9_000 : (40 + index) * MINUTE),
      hardware_profile: { id: profile.id, name: profile.name },
      site: { id: site.id, name: site.name },
      region: site.region,
      labels: { aisle: String(1 + (index % 14)), ...(index % 4 === 0 ? { lens: "wide" } : {}) },
      attributes: { serial: `CD1-7F3A-${String(index + 100).padStart(5, "0")}` },
      agent_version: index % 11 === 0 ? "0.1.0" : "0.1.1",
      certificate_expires_at: isPending ? null : at(now, -(20 + index) * DAY),
      installed: [],
      health: isPending ? null : { cpu_ratio: 0.2 + random() * 0.3, memory_used_ratio: 0.45 + random() * 0.2, storage_used_ratio: 0.7, temperature_c: 50 + hot + random() * 8, uptime_s: 86_400 * 3 + index * 1000, process_memory_bytes: 190_000_000 + index * 1_000_000, clock_offset_s: 0.2 },
      health_at: isPending ? null : at(now, isOnline ? 4_000 : 50 * MINUTE),
      window: isPending ? null : { window_s: 10, model: "digits", version: "1.1.0", digest: digest(11), inference_count: 142, error_count: 0, latency_ms_mean: 2.6, latency_ms_p50: 2.4, latency_ms_p95: 3.9 + random(), confidence_mean: 0.93, shadow_count: 0, shadow_disagreement_count: 0, shadow_latency_ms_mean: null },
      window_at: isPending ? null : at(now, isOnline ? 8_000 : 50 * MINUTE),
      created_at: at(now, (30 + index) * DAY),
    };
  });
}

interface VersionSeed {
  number: number;
  model: Named;
  version: string;
  description: string;
  accuracy: number;
  weak?: string;
  latency: number;
  parent?: ModelVersion;
  state?: ModelVersion["state"];
  approval?: ModelVersion["approval"];
  ago: number;
}

export function buildVersion(now: number, seed: VersionSeed, set: EvaluationSet): ModelVersion {
  const labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
  const state = seed.state ?? "ready";
  const isMeasured = state === "ready" || state === "deprecated";
  const right = labels.map((label) => (label === seed.weak ? 22 : Math.round(36 * seed.accuracy)));
  const confusion = right.map((count, truth) => labels.map((_, answer) => (answer === truth ? count : answer === (truth + 3) % 10 ? 36 - count : 0)));
  const accuracy = right.reduce((sum, count) => sum + count, 0) / 360;
  return {
    id: mockId(21, seed.number),
    model: seed.model,
    version: seed.version,
    description: seed.description,
    state,
    state_reason: state === "invalid" ? { code: "models_registry.invalid_onnx", text: "The file is not an ONNX model: its header cannot be read." } : null,
    approval: seed.approval ?? (isMeasured ? "approved" : "none"),
    approved_by: (seed.approval ?? (isMeasured ? "approved" : "none")) === "approved" ? IDS.okafor : null,
    approved_at: isMeasured ? at(now, seed.ago - HOUR) : null,
    approval_reason: "",
    parent: seed.parent === undefined ? null : { id: seed.parent.id, version: seed.parent.version },
    lineage: { code: `git:halden/models@${digest(seed.number).slice(0, 8)}`, data: "digits-2026-11", run: `train-${seed.number}` },
    inputs: isMeasured ? [{ name: "image", dtype: "float32", shape: ["batch", 1, 8, 8] }] : [],
    outputs: isMeasured ? [{ name: "probabilities", dtype: "float32", shape: ["batch", 10] }] : [],
    details: isMeasured ? { format: "onnx", opset: 21, ir_version: 10, producer: "skl2onnx", operators: ["Gemm", "Relu", "Softmax"], labels, size_bytes: 412_000 } : {},
    evaluation_set: set,
    evaluation: isMeasured ? { accuracy, accuracy_by_class: Object.fromEntries(labels.map((label, index) => [label, (right[index] ?? 0) / 36])), confusion, row_count: 360, latency_ms_p50: seed.latency * 0.8, latency_ms_p95: seed.latency } : null,
    signing_mode: "online-key",
    variants: isMeasured ? [{ id: mockId(22, seed.number), name: "fp32", hardware_profile: null, digest: digest(seed.number + 10), size_bytes: 412_000 + seed.number * 1300, measured: { accuracy, latency_ms_p50: seed.latency * 0.8, latency_ms_p95: seed.latency, agreement_ratio: seed.parent === undefined ? null : 0.981 }, stores: [{ name: "local", created_at: at(now, seed.ago) }] }] : [],
    has_reference_profile: isMeasured,
    created_by: IDS.lindqvist,
    created_at: at(now, seed.ago),
  };
}

interface RolloutSeed {
  id: string;
  name: string;
  version: ModelVersion;
  previous: string[];
  state: Rollout["state"];
  isHolding?: boolean;
  waves: readonly [string, number, number | null, number | null][];
  released: number;
  stateOf: (wave: number, index: number, device: Device) => DeploymentState;
  ago: number;
  finishedAgo?: number;
  halt?: Rollout["halt_reason"];
  next?: Rollout["next"];
}

/** Makes a rollout over the accepted devices, and its deployments; all counts are counted from these. */
export function buildRollout(now: number, seed: RolloutSeed, devices: readonly Device[], deployments: Deployment[]): Rollout {
  const members = devices.filter((device) => device.state === "accepted");
  let place = 0;
  const waves = seed.waves.map(([name, percent, releasedAgo, passedAgo], index) => {
    const until = index === seed.waves.length - 1 ? members.length : Math.round((members.length * percent) / 100);
    const mine = members.slice(place, until);
    place = until;
    const counts: Counts = {};
    mine.forEach((device, position) => {
      const state = seed.stateOf(index + 1, position, device);
      counts[state] = (counts[state] ?? 0) + 1;
      deployments.push({
        id: mockId(31, deployments.length + 1),
        rollout: { id: seed.id, name: seed.name, model: seed.version.model.name, version: seed.version.version },
        device: { id: device.id, controller_id: device.controller_id, name: device.name, region: device.region?.name ?? null, hardware_profile: device.hardware_profile.name },
        wave: index + 1,
        state,
        state_at: at(now, (releasedAgo ?? 0) - position * 4_000),
        reason_code: state === "failed" ? "self_test_failed" : state === "skipped" ? "decommissioned" : state === "cancelled" ? "rollout_halted" : state === "rolled_back" ? "gate_disagreement" : "",
        evidence: state === "proven" ? "attested" : state === "probation" ? "claimed" : "",
        attempt: state === "planned" || state === "cancelled" ? 0 : 1,
        installed_at: state === "proven" || state === "probation" ? at(now, releasedAgo ?? 0) : null,
        proven_at: state === "proven" ? at(now, releasedAgo ?? 0) : null,
      });
    });
    return { number: index + 1, name, device_count: mine.length, released_at: releasedAgo === null ? null : at(now, releasedAgo), passed_at: passedAgo === null ? null : at(now, passedAgo), counts };
  });
  const counts = countAll(waves.map((wave) => wave.counts));
  return {
    id: seed.id,
    name: seed.name,
    model: seed.version.model.name,
    version: seed.version.version,
    version_id: seed.version.id,
    previous_versions: seed.previous,
    strategy: seed.waves.length === 1 ? "all_at_once" : "canary",
    selector: { regions: [], hardware_profiles: [], sites: [], labels: {}, models: seed.previous.map((version) => `${seed.version.model.name}@${version}`) },
    policy: POLICY,
    state: seed.state,
    is_holding: seed.isHolding ?? false,
    released_wave: seed.released,
    waves,
    counts,
    evidence: { attested: counts.proven ?? 0, claimed: counts.probation ?? 0, observed: 0 },
    halt_reason: seed.halt ?? null,
    control: "own_history",
    next: seed.next ?? null,
    created_by: IDS.lindqvist,
    created_at: at(now, seed.ago + 10 * MINUTE),
    started_at: seed.state === "draft" ? null : at(now, seed.ago),
    finished_at: seed.finishedAgo === undefined ? null : at(now, seed.finishedAgo),
  };
}

export function countAll(parts: readonly Counts[]): Counts {
  const sum: Counts = {};
  for (const part of parts) for (const [state, count] of Object.entries(part)) sum[state as DeploymentState] = (sum[state as DeploymentState] ?? 0) + count;
  return sum;
}
