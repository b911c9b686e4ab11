/** The mock's REST resources. Failures are asked for by sentinel values: see `sentinel`. */
import type { DeviceState, ErrorBody, ModelVersion, Page, Rollout, RolloutDraft, RolloutPreview, RolloutState } from "@/lib/api/types";
import { deviceSeries, drift, driftCell, facets, filterDevices, overview, summary, why } from "@/testing/mock-api/insights";
import { mockId } from "@/testing/mock-api/random";
import { IDS, POLICY } from "@/testing/mock-api/makers";
import type { World } from "@/testing/mock-api/world";

export interface MockRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
  body: unknown;
}

export interface MockResponse {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

const ok = (body: unknown): MockResponse => ({ status: 200, body });

export function problem(status: number, code: string, message: string, fields: Record<string, string> = {}): MockResponse {
  const body: ErrorBody = { code, message, fields, request_id: "req-mock-0001" };
  return { status, body, headers: { "X-Request-Id": "req-mock-0001" } };
}

const notFound = () => problem(404, "not_found", "There is no such thing.");

function page(request: MockRequest, rows: readonly object[]): MockResponse {
  const limit = Number(request.query.get("limit") ?? 50);
  const start = Number(request.query.get("cursor") ?? 0);
  const address = (at: number) => {
    const query = new URLSearchParams(request.query);
    query.set("cursor", String(at));
    return `http://localhost${request.path}?${query.toString()}`;
  };
  const body: Page<object> = { results: rows.slice(start, start + limit), next: start + limit < rows.length ? address(start + limit) : null, previous: start > 0 ? address(Math.max(0, start - limit)) : null };
  return ok(body);
}

/** `fail-500`, `fail-403`, `fail-503` anywhere in the path or the query makes the answer fail so. */
function sentinel(request: MockRequest): MockResponse | null {
  const asked = /fail-(\d{3})/.exec(`${request.path}?${request.query.toString()}`)?.[1];
  if (asked === undefined) return null;
  const status = Number(asked);
  if (status === 403) return problem(403, "governance.role_too_low", "Needs the role administrator.");
  return problem(status, status === 503 ? "common.overloaded" : "common.internal", status === 503 ? "The server is full. Nothing was changed." : "A fault of ours.");
}

type Body = Record<string, unknown>;

const TRANSITIONS: Record<string, RolloutState> = { start: "running", pause: "paused", resume: "running", halt: "halted", rollback: "rolling_back", cancel: "cancelled" };

function preview(world: World, draft: RolloutDraft): RolloutPreview {
  const query = new URLSearchParams();
  const inList = (list: string[] | undefined, value: string | undefined) => list === undefined || list.length === 0 || (value !== undefined && list.includes(value));
  const matching = filterDevices(world.devices, query).filter((device) => inList(draft.selector.regions, device.region?.name) && inList(draft.selector.sites, device.site?.name) && inList(draft.selector.hardware_profiles, device.hardware_profile.name));
  const accepted = matching.filter((device) => device.state === "accepted");
  const steps = draft.strategy === "canary" ? [draft.policy.canary_percent ?? 5, ...(draft.policy.waves ?? [100])] : [100];
  let reached = 0;
  const waves = steps.map((step, index) => {
    const until = index === steps.length - 1 ? accepted.length : Math.max(reached, Math.round((accepted.length * step) / 100));
    const mine = accepted.slice(reached, until);
    reached = until;
    const by_region: Record<string, number> = {};
    for (const device of mine) by_region[device.region?.name ?? ""] = (by_region[device.region?.name ?? ""] ?? 0) + 1;
    return { number: index + 1, name: index === 0 && steps.length > 1 ? `canary ${step} %` : step === 100 ? "all" : `to ${step} %`, device_count: mine.length, control: "own_history" as const, by_region, by_hardware_profile: {} };
  });
  const leftOut = matching.length - accepted.length;
  return { device_count: accepted.length, waves, left_out: leftOut === 0 ? [] : [{ reason_code: "not_accepted", text: "not accepted, or quarantined", count: leftOut }], size_bytes_total: accepted.length * 412_000, warnings: draft.policy.gates?.length === 0 ? ["Without a gate nothing stops a bad version but a person."] : [], current_versions: [{ version: "1.1.0", device_count: accepted.length }] };
}

function rolloutOf(world: World, draft: RolloutDraft): Rollout {
  const version = world.versions.find((entry) => entry.id === draft.version);
  const plan = preview(world, draft);
  return { id: mockId(30, world.rollouts.length + 10), name: draft.name, model: version?.model.name ?? "", version: version?.version ?? "", version_id: draft.version, previous_versions: ["1.1.0"], strategy: draft.strategy, selector: draft.selector, policy: { ...POLICY, ...draft.policy }, state: "draft", is_holding: false, released_wave: 0, waves: plan.waves.map((wave) => ({ number: wave.number, name: wave.name, device_count: wave.device_count, released_at: null, passed_at: null, counts: { planned: wave.device_count } })), counts: { planned: plan.device_count }, evidence: { claimed: 0, observed: 0, attested: 0 }, halt_reason: null, control: null, next: null, created_by: IDS.lindqvist, created_at: new Date(world.now).toISOString(), started_at: null, finished_at: null };
}

function versionAction(version: ModelVersion, action: string, reason: string): MockResponse {
  if (action === "request-approval") version.approval = "requested";
  else if (action === "approve") Object.assign(version, { approval: "approved", approved_by: IDS.okafor });
  else if (action === "decline") Object.assign(version, { approval: "declined", approved_by: IDS.okafor, approval_reason: reason });
  else if (action === "deprecate") version.state = "deprecated";
  else return notFound();
  return ok(version);
}

const DEVICE_STATES: Record<string, DeviceState> = { accept: "accepted", quarantine: "quarantined", decommission: "decommissioned" };

type Handler = (world: World, request: MockRequest, ids: string[]) => MockResponse;

const one = <T extends { id: string }>(rows: readonly T[], id: string | undefined, answer: (row: T) => MockResponse): MockResponse => {
  const row = rows.find((entry) => entry.id === id);
  return row === undefined ? notFound() : answer(row);
};

const body = (request: MockRequest) => (request.body ?? {}) as Body;
const text = (value: unknown) => (typeof value === "string" ? value : "");
const byFilter = <T extends object>(rows: readonly T[], query: URLSearchParams, names: readonly (keyof T & string)[]) => rows.filter((row) => names.every((name) => query.get(name) === null || query.get(name) === String(row[name])));

const ROUTES: readonly [string, RegExp, Handler][] = [
  ["GET", /^devices\/$/, (world, request) => page(request, filterDevices(world.devices, request.query))],
  ["GET", /^devices\/summary\/$/, (world) => ok(summary(world))],
  ["GET", /^devices\/facets\/$/, (world, request) => ok(facets(world, request.query))],
  ["GET", /^devices\/([^/]+)\/$/, (world, _, [id]) => one(world.devices, id, ok)],
  ["GET", /^devices\/([^/]+)\/(health|windows)\/$/, (world, request, [id, kind]) => one(world.devices, id, (device) => ok(deviceSeries(world, device, kind === "health" ? "health" : "windows", new Date(request.query.get("since") ?? 0).getTime())))],
  ["GET", /^devices\/([^/]+)\/events\/$/, (world, request, [id = ""]) => page(request, world.deviceEvents.get(id) ?? [])],
  ["GET", /^devices\/([^/]+)\/why\/$/, (world, _, [id]) => one(world.devices, id, (device) => ok(why(world, device)))],
  ["POST", /^devices\/([^/]+)\/(accept|quarantine|decommission)\/$/, (world, _, [id, action = ""]) => one(world.devices, id, (device) => ok(Object.assign(device, { state: DEVICE_STATES[action] ?? device.state })))],
  ["GET", /^enrolment-tokens\/$/, (world, request) => page(request, world.enrolmentTokens)],
  [
    "POST",
    /^enrolment-tokens\/$/,
    (world, request) => {
      const made = { id: mockId(12, world.enrolmentTokens.length + 1), name: text(body(request)["name"]), prefix: "fle_NEWX", site: null, labels: {}, state: "active" as const, expires_at: new Date(world.now + Number(body(request)["expires_in_s"]) * 1000).toISOString(), used_at: null, used_by: null, created_at: new Date(world.now).toISOString() };
      world.enrolmentTokens.unshift(made);
      return { status: 201, body: { ...made, token: "fle_NEWXtoken", command: "flotilla-agent run --server http://127.0.0.1:8000 --tenant halden --token fle_NEWXtoken" } };
    },
  ],
  ["POST", /^enrolment-tokens\/([^/]+)\/revoke\/$/, (world, _, [id]) => one(world.enrolmentTokens, id, (token) => ok(Object.assign(token, { state: "revoked" })))],
  ["GET", /^sites\/$/, (world, request) => page(request, world.sites)],
  ["GET", /^regions\/$/, (world, request) => page(request, world.regions)],
  ["GET", /^hardware-profiles\/$/, (world, request) => page(request, world.profiles)],
  ["GET", /^models\/$/, (world, request) => page(request, world.models)],
  [
    "POST",
    /^models\/$/,
    (world, request) => {
      const made = { id: mockId(20, world.models.length + 1), name: text(body(request)["name"]), description: "", version_count: 0, latest_version: null, device_count: { proven: 0, claimed: 0 }, created_at: new Date(world.now).toISOString() };
      world.models.push(made);
      return { status: 201, body: made };
    },
  ],
  ["GET", /^models\/([^/]+)\/evaluation-sets\/$/, (world, request, [id = ""]) => page(request, world.evaluationSets.get(id) ?? [])],
  [
    "POST",
    /^models\/([^/]+)\/evaluation-sets\/$/,
    (world, request, [id = ""]) => {
      const made = { id: mockId(23, 9), name: text(body(request)["name"]), row_count: 360, digest: "", created_at: new Date(world.now).toISOString() };
      world.evaluationSets.set(id, [...(world.evaluationSets.get(id) ?? []), made]);
      return { status: 201, body: made };
    },
  ],
  ["GET", /^versions\/$/, (world, request) => page(request, byFilter(world.versions, request.query, ["state", "approval"]).filter((version) => request.query.get("model") === null || version.model.name === request.query.get("model")))],
  ["GET", /^versions\/([^/]+)\/$/, (world, _, [id]) => one(world.versions, id, ok)],
  [
    "POST",
    /^versions\/$/,
    (world, request) => {
      const wanted = body(request);
      const model = world.models.find((entry) => entry.name === wanted["model"]);
      const example = world.versions[0];
      if (model === undefined || example === undefined) return problem(400, "models_registry.unknown_model", "There is no such model.", { model: "There is no such model." });
      if (world.versions.some((version) => version.model.name === model.name && version.version === wanted["version"])) return problem(409, "models_registry.version_exists", "This version exists already.", { version: "This version exists already." });
      const made: ModelVersion = { ...example, id: mockId(21, world.versions.length + 20), model: { id: model.id, name: model.name }, version: text(wanted["version"]), description: text(wanted["description"]), state: "validating", state_reason: null, approval: "none", approved_by: null, parent: null, evaluation: null, variants: [], inputs: [], outputs: [], details: {}, created_at: new Date(world.now).toISOString() };
      world.versions.unshift(made);
      model.version_count += 1;
      return { status: 201, body: made };
    },
  ],
  ["POST", /^versions\/([^/]+)\/([a-z-]+)\/$/, (world, request, [id, action = ""]) => one(world.versions, id, (version) => versionAction(version, action, text(body(request)["reason"])))],
  ["GET", /^rollouts\/$/, (world, request) => page(request, byFilter(world.rollouts, request.query, ["state", "model"]))],
  ["GET", /^rollouts\/defaults\/$/, () => ok({ policy: POLICY, metrics: [{ metric: "disagreement", title: "disagreement with the previous version", unit: "ratio", level_unit: "ratio" }, { metric: "latency_p95", title: "latency p95", unit: "relative", level_unit: "ms" }, { metric: "error_rate", title: "error rate", unit: "ratio", level_unit: "ratio" }, { metric: "temperature", title: "temperature", unit: "°C", level_unit: "°C" }, { metric: "memory", title: "memory used", unit: "ratio", level_unit: "ratio" }] })],
  ["POST", /^rollouts\/preview\/$/, (world, request) => ok(preview(world, body(request) as unknown as RolloutDraft))],
  [
    "POST",
    /^rollouts\/$/,
    (world, request) => {
      const made = rolloutOf(world, body(request) as unknown as RolloutDraft);
      world.rollouts.unshift(made);
      return { status: 201, body: made };
    },
  ],
  ["GET", /^rollouts\/([^/]+)\/$/, (world, _, [id]) => one(world.rollouts, id, ok)],
  ["GET", /^rollouts\/([^/]+)\/gates\/$/, (world, _, [id = ""]) => ok({ results: world.gates.get(id) ?? [], next: null, previous: null })],
  ["GET", /^rollouts\/([^/]+)\/events\/$/, (world, request, [id = ""]) => page(request, world.rolloutEvents.get(id) ?? [])],
  ["POST", /^rollouts\/([^/]+)\/(start|pause|resume|halt|rollback|cancel)\/$/, (world, _, [id, action = ""]) => one(world.rollouts, id, (rollout) => ok(Object.assign(rollout, { state: TRANSITIONS[action] ?? rollout.state, is_holding: false })))],
  ["GET", /^deployments\/$/, (world, request) => page(request, world.deployments.filter((deployment) => (request.query.get("rollout") ?? deployment.rollout.id) === deployment.rollout.id && (request.query.get("device") ?? deployment.device.id) === deployment.device.id && (request.query.get("state") ?? deployment.state) === deployment.state).toReversed())],
  ["GET", /^drift\/$/, (world, request) => ok(drift(world, request.query.get("version_id")))],
  ["GET", /^drift\/cell\/$/, (world, request) => ok(driftCell(world, request.query))],
  ["GET", /^alerts\/$/, (world, request) => page(request, byFilter(world.alerts, request.query, ["state", "severity"]))],
  [
    "POST",
    /^alerts\/([^/]+)\/(acknowledge|silence|resolve)\/$/,
    (world, request, [id, action]) =>
      one(world.alerts, id, (alert) => {
        const now = new Date(world.now).toISOString();
        if (action === "acknowledge") Object.assign(alert, { acknowledged_at: now, acknowledged_by: IDS.okafor });
        else if (action === "silence") alert.silenced_until = text(body(request)["until"]);
        else Object.assign(alert, { state: "resolved", resolved_at: now });
        return ok(alert);
      }),
  ],
  ["GET", /^alert-rules\/$/, (world, request) => page(request, world.rules)],
  ["GET", /^jobs\/$/, (world, request) => page(request, byFilter(world.jobs, request.query, ["state", "kind"]))],
  ["POST", /^jobs\/([^/]+)\/(cancel|retry)\/$/, (world, _, [id, action]) => one(world.jobs, id, (job) => ok(Object.assign(job, { state: action === "cancel" ? "cancelled" : "queued", error: null })))],
  ["GET", /^overview\/$/, (world) => ok(overview(world))],
  ["GET", /^tour\/$/, (world) => (world.isDemo ? ok(world.tour) : notFound())],
  ["POST", /^tour\/actions\/([^/]+)\/$/, (world, _, [key]) => ok(world.tour.actions.find((action) => action.key === key))],
  ["GET", /^api-tokens\/$/, (world, request) => (world.role === "administrator" ? page(request, world.apiTokens) : problem(403, "governance.role_too_low", "Needs the role administrator."))],
  [
    "POST",
    /^api-tokens\/$/,
    (world, request) => {
      const made = { id: mockId(60, world.apiTokens.length + 1), name: text(body(request)["name"]), role: "viewer" as const, prefix: "flt_NEWX", state: "active" as const, expires_at: null, last_used_at: null, created_at: new Date(world.now).toISOString(), created_by: IDS.okafor };
      world.apiTokens.unshift(made);
      return { status: 201, body: { ...made, token: "flt_NEWXsecret" } };
    },
  ],
  ["POST", /^api-tokens\/([^/]+)\/revoke\/$/, (world, _, [id]) => one(world.apiTokens, id, (token) => ok(Object.assign(token, { state: "revoked" })))],
  ["GET", /^people\/$/, (world, request) => page(request, world.people)],
  ["GET", /^audit\/$/, (world, request) => page(request, world.audit.filter((entry) => (request.query.get("object_kind") ?? entry.object.kind) === entry.object.kind))],
];

function session(world: World, request: MockRequest): MockResponse {
  if (request.method === "DELETE") {
    world.isSignedIn = false;
    return { status: 204 };
  }
  if (request.method === "POST") {
    if (body(request)["password"] !== "correct horse") return problem(401, "governance.invalid_credentials", "User name and password do not match.");
    world.isSignedIn = true;
  }
  if (!world.isSignedIn) return problem(401, "governance.not_authenticated", "Nobody is signed in.");
  return ok({ user: { id: IDS.okafor.id, username: "okafor", name: IDS.okafor.name }, organization: { id: mockId(1, 100), slug: "halden", name: "Halden" }, role: world.role, csrf_token: "csrf-mock", is_demo: world.isDemo });
}

/** The tus door: creation, offset, pieces. */
function upload(world: World, request: MockRequest, id: string | undefined): MockResponse {
  const headers = { "Tus-Resumable": "1.0.0" };
  if (request.method === "POST") {
    const made = mockId(24, world.uploads.size + 1);
    world.uploads.set(made, { length: Number(request.headers.get("Upload-Length")), offset: 0, filename: "" });
    return { status: 201, headers: { ...headers, Location: `/api/v1/uploads/${made}` } };
  }
  const known = world.uploads.get(id ?? "");
  if (known === undefined) return notFound();
  if (request.method === "PATCH") known.offset += request.body instanceof Blob ? request.body.size : 0;
  return { status: request.method === "PATCH" ? 204 : 200, headers: { ...headers, "Upload-Offset": String(known.offset), "Upload-Length": String(known.length) } };
}

export function handle(world: World, request: MockRequest): MockResponse {
  const path = request.path.replace(/^\/api\/v1\//, "");
  const failure = sentinel(request);
  if (failure !== null) return failure;
  if (path === "session/") return session(world, request);
  if (!world.isSignedIn) return problem(401, "governance.not_authenticated", "Nobody is signed in.");
  const uploadMatch = /^uploads\/([^/]*)\/?$/.exec(path);
  if (uploadMatch !== null) return upload(world, request, uploadMatch[1]);
  if (request.method !== "GET" && world.role === "viewer") return problem(403, "governance.role_too_low", "Needs the role operator.");
  for (const [method, pattern, handler] of ROUTES) {
    const match = request.method === method ? pattern.exec(path) : null;
    if (match !== null) return handler(world, request, match.slice(1));
  }
  return notFound();
}
