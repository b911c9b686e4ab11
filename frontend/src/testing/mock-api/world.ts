/**
 * The invented fleet of the mock server: 63 devices of Halden, two models, four rollouts. Sums are never written down, they
 * are counted from the devices and deployments, so every screen agrees with every other.
 */
import type {
  Alert,
  AlertRule,
  ApiToken,
  AuditEntry,
  Counts,
  Deployment,
  DeploymentState,
  Device,
  DeviceEvent,
  EnrolmentToken,
  EvaluationSet,
  GateResult,
  HardwareProfile,
  Job,
  Model,
  ModelVersion,
  Named,
  Person,
  Policy,
  Role,
  Rollout,
  RolloutEvent,
  Site,
  Tour,
} from "@/lib/api/types";
import { buildGates } from "@/testing/mock-api/gates";
import { mockId, seeded } from "@/testing/mock-api/random";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface World {
  now: number;
  role: Role;
  isSignedIn: boolean;
  isDemo: boolean;
  regions: Named[];
  sites: Site[];
  profiles: HardwareProfile[];
  devices: Device[];
  deviceEvents: Map<string, DeviceEvent[]>;
  enrolmentTokens: EnrolmentToken[];
  models: Model[];
  evaluationSets: Map<string, EvaluationSet[]>;
  versions: ModelVersion[];
  rollouts: Rollout[];
  deployments: Deployment[];
  gates: Map<string, GateResult[]>;
  rolloutEvents: Map<string, RolloutEvent[]>;
  alerts: Alert[];
  rules: AlertRule[];
  jobs: Job[];
  apiTokens: ApiToken[];
  people: Person[];
  audit: AuditEntry[];
  tour: Tour;
  uploads: Map<string, { length: number; offset: number; filename: string }>;
}

const PLACES: readonly [string, string, number, number, string][] = [
  ["Oslo Storgata", "eu-north", 59.91, 10.75, "Europe/Oslo"],
  ["Bergen Torget", "eu-north", 60.39, 5.32, "Europe/Oslo"],
  ["Hamburg Altona", "eu-central", 53.55, 9.93, "Europe/Berlin"],
  ["Brno Vinohrady", "eu-central", 49.2, 16.61, "Europe/Prague"],
  ["Lyon Part-Dieu", "eu-central", 45.76, 4.86, "Europe/Paris"],
  ["Newark DC", "us-east", 40.73, -74.17, "America/New_York"],
  ["Atlanta Midtown", "us-east", 33.78, -84.38, "America/New_York"],
];

const PROFILES: readonly Omit<HardwareProfile, "id" | "created_at">[] = [
  { name: "coral-dev", architecture: "arm64", cpu: "4 x A53", cpu_count: 4, memory_bytes: 1_073_741_824, accelerators: ["edge-tpu"], runtimes: ["onnxruntime 1.31.1"] },
  { name: "jetson-orin-nano", architecture: "arm64", cpu: "6 x A78AE", cpu_count: 6, memory_bytes: 8_589_934_592, accelerators: ["ampere"], runtimes: ["onnxruntime 1.31.1"] },
  { name: "x86-gateway", architecture: "x86_64", cpu: "4 x N100", cpu_count: 4, memory_bytes: 8_589_934_592, accelerators: [], runtimes: ["onnxruntime 1.31.1"] },
];

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

const at = (now: number, ago: number) => new Date(now - ago).toISOString();
const digest = (seed: number) => Array.from({ length: 64 }, (_, index) => ((seed * 7 + index * 13 + (index % 5) * seed) % 16).toString(16)).join("");

function buildDevices(now: number, sites: Site[], profiles: HardwareProfile[]): Device[] {
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

function buildVersion(now: number, seed: VersionSeed, set: EvaluationSet): ModelVersion {
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
function buildRollout(now: number, seed: RolloutSeed, devices: readonly Device[], deployments: Deployment[]): Rollout {
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

export function buildWorld(now: number): World {
  const regions = ["eu-north", "eu-central", "us-east"].map((name, index): Named => ({ id: mockId(2, index + 1), name }));
  const sites = PLACES.map(([name, region, latitude_deg, longitude_deg, timezone], index): Site => ({ id: mockId(3, index + 1), name, region: regions.find((entry) => entry.name === region) ?? { id: "", name: region }, latitude_deg, longitude_deg, timezone, created_at: at(now, 90 * DAY) }));
  const profiles = PROFILES.map((profile, index): HardwareProfile => ({ id: mockId(4, index + 1), ...profile, created_at: at(now, 90 * DAY) }));
  const devices = buildDevices(now, sites, profiles);

  const digits: Named = { id: IDS.digits, name: "digits" };
  const shelfGap: Named = { id: IDS.shelfGap, name: "shelf-gap" };
  const set: EvaluationSet = { id: mockId(23, 1), name: "digits-test", row_count: 360, digest: digest(3), created_at: at(now, 9 * DAY) };
  const v10 = buildVersion(now, { number: 1, model: digits, version: "1.0.0", description: "First model.", accuracy: 0.94, latency: 0.21, ago: 8 * DAY }, set);
  const v11 = buildVersion(now, { number: 2, model: digits, version: "1.1.0", description: "Wider hidden layer.", accuracy: 0.97, latency: 0.24, parent: v10, ago: 3 * DAY }, set);
  const v12 = buildVersion(now, { number: 3, model: digits, version: "1.2.0", description: "Trained on new labels.", accuracy: 0.98, weak: "8", latency: 0.61, parent: v11, ago: 5 * HOUR }, set);
  const v13 = buildVersion(now, { number: 4, model: digits, version: "1.3.0", description: "Labels corrected.", accuracy: 0.975, latency: 0.24, parent: v11, approval: "requested", ago: 50 * MINUTE }, set);
  const bad = buildVersion(now, { number: 5, model: digits, version: "1.4.0-rc1", description: "", accuracy: 0, latency: 0, state: "invalid", ago: 30 * MINUTE }, set);
  const s1 = buildVersion(now, { number: 6, model: shelfGap, version: "2.3.1", description: "Production since October.", accuracy: 0.934, latency: 38, ago: 20 * DAY }, set);
  const s2 = buildVersion(now, { number: 7, model: shelfGap, version: "2.4.0", description: "Better in low light.", accuracy: 0.951, latency: 35, parent: s1, ago: 2 * DAY }, set);
  const versions = [bad, v13, v12, s2, v11, v10, s1];

  const deployments: Deployment[] = [];
  const proven = (): DeploymentState => "proven";
  const first = buildRollout(now, { id: mockId(30, 1), name: "digits 1.0.0", version: v10, previous: [], state: "completed", waves: [["all", 100, 7 * DAY, 6 * DAY]], released: 1, stateOf: proven, ago: 7 * DAY, finishedAgo: 6 * DAY }, devices, deployments);
  const second = buildRollout(
    now,
    {
      id: mockId(30, 2),
      name: "digits 1.1.0",
      version: v11,
      previous: ["1.0.0"],
      state: "completed",
      waves: [
        ["canary 5 %", 5, 2 * DAY, 2 * DAY - HOUR],
        ["all", 100, 2 * DAY - HOUR, 2 * DAY - 3 * HOUR],
      ],
      released: 2,
      stateOf: (wave, index) => (wave === 2 && index === 4 ? "failed" : "proven"),
      ago: 2 * DAY,
      finishedAgo: 2 * DAY - 3 * HOUR,
    },
    devices,
    deployments,
  );
  const third = buildRollout(
    now,
    {
      id: IDS.rolledBack,
      name: "digits 1.2.0",
      version: v12,
      previous: ["1.1.0"],
      state: "rolling_back",
      waves: [
        ["canary 10 %", 10, 34 * MINUTE, null],
        ["to 50 %", 50, null, null],
        ["all", 100, null, null],
      ],
      released: 1,
      stateOf: (wave, index) => (wave > 1 ? "cancelled" : index < 4 ? "rolled_back" : index === 4 ? "restoring" : "probation"),
      ago: 35 * MINUTE,
      halt: { gate: "disagreement", metric: "disagreement", text: "11.8 % of answers differ from 1.1.0, 95 % interval [8.9, 14.7], beyond the ceiling of 5 %." },
      next: { text: "2 devices follow", at: at(now, -4 * MINUTE) },
    },
    devices,
    deployments,
  );
  const mix: readonly DeploymentState[] = ["proven", "proven", "proven", "proven", "proven", "proven", "proven", "probation", "probation", "probation", "installing", "verifying", "downloading", "downloading", "offered", "planned", "failed"];
  const fourth = buildRollout(
    now,
    {
      id: IDS.running,
      name: "shelf-gap 2.4.0",
      version: s2,
      previous: ["2.3.1"],
      state: "running",
      isHolding: true,
      waves: [
        ["canary 5 %", 5, 8 * HOUR, 6 * HOUR],
        ["to 20 %", 20, 6 * HOUR, 2 * HOUR],
        ["to 48 %", 48, 2 * HOUR, null],
        ["to 75 %", 75, null, null],
        ["all", 100, null, null],
      ],
      released: 3,
      stateOf: (wave, index) => (wave < 3 ? (wave === 2 && index === 3 ? "skipped" : "proven") : wave === 3 ? (mix[index] ?? "proven") : "planned"),
      ago: 8 * HOUR,
      next: { text: "temperature needs 4 more devices; then wave 4 is released", at: at(now, -38 * MINUTE) },
    },
    devices,
    deployments,
  );
  // A draft has no deployments: they are made when it is planned.
  const draft = buildRollout(now, { id: IDS.draft, name: "digits 1.1.0 again", version: v11, previous: ["1.1.0"], state: "draft", waves: [["all", 100, null, null]], released: 0, stateOf: () => "planned", ago: 20 * MINUTE }, devices, []);
  const rollouts = [draft, third, fourth, second, first];

  for (const device of devices) {
    if (device.state === "pending") continue;
    const since = at(now, 2 * DAY);
    const onNew = deployments.find((deployment) => deployment.rollout.id === IDS.running && deployment.device.id === device.id)?.state === "proven";
    device.installed = [
      { model: "digits", version: "1.1.0", digest: digest(12), evidence: "attested", since },
      { model: "shelf-gap", version: onNew ? "2.4.0" : "2.3.1", digest: digest(onNew ? 17 : 16), evidence: "attested", since },
    ];
  }

  const gates = new Map([
    [IDS.running, buildGates(now, "holding", 3)],
    [IDS.rolledBack, buildGates(now - 6 * MINUTE, "harm", 1)],
    [mockId(30, 2), buildGates(now - 2 * DAY, "pass", 1)],
  ]);

  const event = (id: number, ago: number, kind: string, text: string, data: Record<string, unknown> = {}): RolloutEvent => ({ id: mockId(32, id), at: at(now, ago), kind, text, data });
  const rolloutEvents = new Map([
    [
      IDS.running,
      [
        event(1, 2 * MINUTE, "gate.holds", "Gate temperature holds: 4 devices missing"),
        event(2, 5 * MINUTE, "deployment.proven", "2 devices proven in eu-central"),
        event(3, 14 * MINUTE, "deployment.failed", `${devices[29]?.name ?? ""} failed: self test failed, kept 2.3.1`, { device_id: devices[29]?.id }),
        event(4, 2 * HOUR, "wave.released", "Wave 3 released, 17 devices"),
        event(5, 2 * HOUR, "wave.passed", "Wave 2 passed all gates"),
        event(6, 6 * HOUR, "wave.released", "Wave 2 released, 9 devices"),
        event(7, 8 * HOUR, "rollout.started", "Started by M. Lindqvist"),
      ],
    ],
    [
      IDS.rolledBack,
      [
        event(8, 1 * MINUTE, "deployment.rolled_back", "1 device back on 1.1.0 in us-east"),
        event(9, 6 * MINUTE, "rollout.rolling_back", "Roll back started: 6 devices"),
        event(10, 6 * MINUTE, "rollout.halted", "Halted by gate disagreement"),
        event(11, 34 * MINUTE, "wave.released", "Wave 1 released, 6 devices"),
      ],
    ],
  ]);

  const deviceEvents = new Map(
    devices.map((device, index): [string, DeviceEvent[]] => [
      device.id,
      device.state === "pending"
        ? [{ id: mockId(11, index), at: at(now, 3 * MINUTE), kind: "device.requested", text: "Asked to enrol", reference: null, data: {} }]
        : [
            { id: mockId(11, index * 10 + 1), at: at(now, 25 * MINUTE), kind: "telemetry.backlog", text: "Backlog delivered, 31 reports, none lost", reference: null, data: {} },
            { id: mockId(11, index * 10 + 2), at: at(now, 80 * MINUTE), kind: "device.online", text: "Contact again after 52 min", reference: null, data: {} },
            { id: mockId(11, index * 10 + 3), at: at(now, 132 * MINUTE), kind: "device.offline", text: "Contact lost", reference: null, data: {} },
            { id: mockId(11, index * 10 + 4), at: at(now, 2 * DAY), kind: "deployment.proven", text: "digits 1.1.0 proven", reference: { kind: "rollout", id: mockId(30, 2), name: "digits 1.1.0" }, data: {} },
            { id: mockId(11, index * 10 + 5), at: at(now, 7 * DAY), kind: "deployment.proven", text: "digits 1.0.0 proven", reference: { kind: "rollout", id: mockId(30, 1), name: "digits 1.0.0" }, data: {} },
            { id: mockId(11, index * 10 + 6), at: device.created_at, kind: "device.enrolled", text: "Enrolled with token fle_7Qm", reference: null, data: {} },
          ],
    ]),
  );

  const rules: AlertRule[] = [{ id: mockId(40, 1), name: "Drift of any feature", kind: "drift", threshold: 0.25, severity: "warning", is_enabled: true }];
  const alerts: Alert[] = [
    {
      id: mockId(41, 1),
      rule: { id: mockId(40, 1), name: "Drift of any feature", kind: "drift" },
      severity: "critical",
      state: "open",
      title: "Contrast drifts on digits 1.1.0",
      text: "eu-north · 18 devices · PSI excess 0.31, alert at 0.25",
      subject: { model: "digits", version: "1.1.0", version_id: v11.id, region: "eu-north", hardware_profile: null, feature: "contrast" },
      data: { history: Array.from({ length: 40 }, (_, index) => ({ at: at(now, (40 - index) * 15 * MINUTE), value: index < 30 ? 0.01 + (index % 3) * 0.004 : 0.01 + (index - 29) * 0.03 })), threshold: 0.25, mean_reference: 0.42, mean_current: 0.31, device_count: 18 },
      opened_at: at(now, 30 * MINUTE),
      updated_at: at(now, 2 * MINUTE),
      resolved_at: null,
      acknowledged_at: null,
      acknowledged_by: null,
      silenced_until: null,
    },
    {
      id: mockId(41, 2),
      rule: { id: mockId(40, 1), name: "Drift of any feature", kind: "drift" },
      severity: "warning",
      state: "resolved",
      title: "Brightness drifts on digits 1.0.0",
      text: "us-east · 18 devices · PSI excess 0.27",
      subject: { model: "digits", version: "1.0.0", version_id: v10.id, region: "us-east", hardware_profile: null, feature: "brightness" },
      data: { threshold: 0.25, device_count: 18 },
      opened_at: at(now, 5 * DAY),
      updated_at: at(now, 4 * DAY),
      resolved_at: at(now, 4 * DAY),
      acknowledged_at: at(now, 5 * DAY - HOUR),
      acknowledged_by: IDS.lindqvist,
      silenced_until: null,
    },
  ];

  const job = (number: number, kind: string, state: Job["state"], version: ModelVersion, part: Partial<Job> = {}): Job => ({
    id: mockId(50, number),
    kind,
    subject: { kind: "version", id: version.id, name: `${version.model.name} ${version.version}` },
    state,
    attempt: state === "queued" ? 0 : 1,
    max_attempts: 3,
    progress_ratio: state === "done" ? 1 : 0,
    progress_text: "",
    error: null,
    created_at: at(now, 40 * MINUTE - number * MINUTE),
    started_at: state === "queued" ? null : at(now, 39 * MINUTE - number * MINUTE),
    finished_at: state === "queued" || state === "running" ? null : at(now, 38 * MINUTE - number * MINUTE),
    queue: "artifacts",
    ...part,
  });
  const jobs = [
    job(6, "models_registry.copy", "queued", v13),
    job(5, "models_registry.validate", "running", v13, { progress_ratio: 0.62, progress_text: "evaluates 223 of 360 rows" }),
    job(4, "models_registry.validate", "failed", bad, { error: { code: "models_registry.invalid_onnx", text: "The file is not an ONNX model." }, attempt: 1 }),
    job(3, "models_registry.sign", "done", v12),
    job(2, "models_registry.validate", "done", v12),
    job(1, "models_registry.validate", "done", v11),
  ];

  const models: Model[] = [
    { id: IDS.digits, name: "digits", description: "Handwritten digits on labels", version_count: 5, latest_version: { id: bad.id, version: bad.version, state: bad.state, approval: bad.approval }, device_count: { proven: devices.filter((device) => device.installed.some((model) => model.model === "digits")).length, claimed: third.counts.probation ?? 0 }, created_at: at(now, 9 * DAY) },
    { id: IDS.shelfGap, name: "shelf-gap", description: "Gaps on shelves", version_count: 2, latest_version: { id: s2.id, version: s2.version, state: s2.state, approval: s2.approval }, device_count: { proven: devices.filter((device) => device.installed.some((model) => model.model === "shelf-gap")).length, claimed: fourth.counts.probation ?? 0 }, created_at: at(now, 60 * DAY) },
  ];

  const tokens: EnrolmentToken[] = [
    { id: mockId(12, 1), name: "installer Oslo", prefix: "fle_7QmX", site: { id: sites[0]?.id ?? "", name: "Oslo Storgata" }, labels: { aisle: "12" }, state: "active", expires_at: at(now, -6 * HOUR), used_at: null, used_by: null, created_at: at(now, 18 * HOUR) },
    { id: mockId(12, 2), name: "first camera", prefix: "fle_2aBc", site: null, labels: {}, state: "used", expires_at: at(now, 20 * DAY), used_at: at(now, 30 * DAY), used_by: { id: devices[0]?.id ?? "", name: devices[0]?.name ?? "" }, created_at: at(now, 31 * DAY) },
  ];

  return {
    now,
    role: "administrator",
    isSignedIn: true,
    isDemo: false,
    regions,
    sites,
    profiles,
    devices,
    deviceEvents,
    enrolmentTokens: tokens,
    models,
    evaluationSets: new Map([
      [IDS.digits, [set]],
      [IDS.shelfGap, []],
    ]),
    versions,
    rollouts,
    deployments,
    gates,
    rolloutEvents,
    alerts,
    rules,
    jobs,
    apiTokens: [{ id: mockId(60, 1), name: "ci", role: "operator", prefix: "flt_9xY2", state: "active", expires_at: at(now, -80 * DAY), last_used_at: at(now, 20 * MINUTE), created_at: at(now, 10 * DAY), created_by: IDS.okafor }],
    people: [
      { id: IDS.okafor.id, username: "okafor", name: "R. Okafor", role: "administrator", joined_at: at(now, 90 * DAY) },
      { id: IDS.lindqvist.id, username: "lindqvist", name: "M. Lindqvist", role: "operator", joined_at: at(now, 80 * DAY) },
    ],
    audit: [
      { id: mockId(61, 3), number: 3, at: at(now, 8 * HOUR), actor: { kind: "person", id: IDS.lindqvist.id, name: IDS.lindqvist.name }, action: "rollout.start", object: { kind: "rollout", id: IDS.running, name: "shelf-gap 2.4.0" }, reason: "approved in the weekly meeting", data: {} },
      { id: mockId(61, 2), number: 2, at: at(now, 2 * DAY), actor: { kind: "person", id: IDS.okafor.id, name: IDS.okafor.name }, action: "version.approve", object: { kind: "version", id: s2.id, name: "shelf-gap 2.4.0" }, reason: "", data: {} },
      { id: mockId(61, 1), number: 1, at: at(now, 9 * DAY), actor: { kind: "person", id: IDS.lindqvist.id, name: IDS.lindqvist.name }, action: "model.create", object: { kind: "model", id: IDS.digits, name: "digits" }, reason: "", data: {} },
    ],
    tour: {
      steps: [
        { key: "train", title: "Three classifiers trained", state: "done", text: "digits 1.0, 1.1 and 1.2, from scikit-learn's handwritten digits", at: at(now, 4 * MINUTE), link: "/models" },
        { key: "enrol", title: "63 devices enrolled", state: "done", text: "3 real agents and 60 simulated devices", at: at(now, 3 * MINUTE), link: "/devices" },
        { key: "halt", title: "1.2 halted: see why", state: "done", text: "11.8 % of answers differ from 1.1", at: at(now, 40_000), link: `/rollouts/${IDS.rolledBack}` },
        { key: "drift", title: "A region drifts", state: "running", text: "contrast and noise in eu-north", at: at(now, 5_000), link: "/drift" },
        { key: "alert", title: "An alert fires", state: "waiting", text: "", at: null, link: null },
      ],
      actions: [
        { key: "bad-model", title: "Ship a bad model again", is_available: true, text: "" },
        { key: "drift", title: "Drift a region", is_available: false, text: "eu-north is drifting already." },
        { key: "cut", title: "Cut a site's network", is_available: true, text: "" },
      ],
    },
    uploads: new Map(),
  };
}
