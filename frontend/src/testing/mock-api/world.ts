/**
 * The invented fleet of the mock server: 63 devices of Halden, two models, four rollouts. Sums are never written down, they
 * are counted from the devices and deployments, so every screen agrees with every other.
 */
import type {
  Alert,
  AlertRule,
  ApiToken,
  AuditEntry,
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
  Role,
  Rollout,
  RolloutEvent,
  Site,
  Tour,
} from "@/lib/api/types";
import { buildGates } from "@/testing/mock-api/gates";
import { at, buildDevices, buildRollout, buildVersion, DAY, digest, HOUR, IDS, MINUTE } from "@/testing/mock-api/makers";
import { mockId } from "@/testing/mock-api/random";

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
