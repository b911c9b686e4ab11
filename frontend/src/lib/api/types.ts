/**
 * The API's resources, from the types generated out of `docs/api/openapi.yaml` (`npm run openapi`). Written by hand are
 * only the few places where the schema says "object" and `docs/api/README.md` says what is in it. Times are RFC 3339
 * strings in UTC, ratios 0 to 1; null is "not known", never zero.
 */
import type { components } from "@/lib/api/schema";

type Schemas = components["schemas"];

/** Read-only in the schema means "not to be sent"; what was read is ordinary data. */
type Plain<T> = T extends (infer Item)[] ? Plain<Item>[] : T extends object ? { -readonly [Key in keyof T]: Plain<T[Key]> } : T;

/** A schema with some of its fields said more exactly. */
type Refined<T, Changes> = Omit<Plain<T>, keyof Changes> & Changes;

export interface Page<T> {
  results: T[];
  next: string | null;
  previous: string | null;
}

export interface ErrorBody {
  code: string;
  message: string;
  fields: Record<string, string[] | string>;
  request_id: string;
}

export type Named = Plain<Schemas["Named"]>;
export type Role = Schemas["RoleEnum"];
export type Session = Plain<Schemas["Session"]>;

// --- Fleet ----------------------------------------------------------------------------------------
export type DeviceState = Schemas["DeviceStateEnum"];
export type Evidence = Schemas["EvidenceEnum"];
export type InstalledModel = Plain<Schemas["InstalledModel"]>;

/** One row of a series, without its time; absent or null is "not measured". */
type Row<T> = { [Column in Exclude<keyof T, "ts">]?: T[Column] extends (infer Value)[] ? Value : never };

export type HealthSample = Row<Schemas["HealthSeries"]>;
export type InferenceWindow = Row<Schemas["WindowSeries"]> & { digest?: string | null };
export type Device = Refined<Schemas["Device"], { health: HealthSample | null; window: InferenceWindow | null }>;

/** Columns of equal length; `ts` are times as the API or a live frame wrote them. */
export interface Series {
  ts: (string | number)[];
  [column: string]: (number | string | null)[];
}

export type DeviceEvent = Plain<Schemas["DeviceEvent"]>;
export type Tally = Pick<Schemas["SiteCounts"], "total" | "online" | "offline">;
export type DeviceSummary = Refined<Schemas["DeviceSummary"], { by_state: Partial<Record<DeviceState, number>> }>;
/** A facet's entry; only versions name their model, only contact is a truth value. */
export interface FacetValue {
  value: string | boolean | null;
  count: number;
  model?: string;
}
export type DeviceFacets = Plain<Schemas["DeviceFacets"]>;
export type WhyStep = Plain<Schemas["WhyStep"]>;
export type Why = Plain<Schemas["Why"]>;
export type EnrolmentTokenState = Schemas["EnrolmentTokenStateEnum"];
export type EnrolmentToken = Plain<Schemas["EnrolmentToken"]>;
export type EnrolmentTokenCreated = Plain<Schemas["EnrolmentTokenCreated"]>;
export type Site = Plain<Schemas["Site"]>;
export type HardwareProfile = Plain<Schemas["HardwareProfile"]>;

// --- Models ---------------------------------------------------------------------------------------
export type VersionState = Schemas["VersionStateEnum"];
export type Approval = Schemas["ApprovalEnum"];
export type Model = Plain<Schemas["Model"]>;
export type EvaluationSet = Plain<Schemas["EvaluationSet"]>;
export type Tensor = Refined<Schemas["TensorSpec"], { shape: (number | string)[] }>;
export type Evaluation = Plain<Schemas["Evaluation"]>;
export type Variant = Plain<Schemas["Variant"]>;
export type ModelVersion = Refined<Schemas["Version"], { inputs: Tensor[]; outputs: Tensor[] }>;

// --- Rollouts -------------------------------------------------------------------------------------
export type RolloutState = Schemas["RolloutStateEnum"];
export type DeploymentState = Schemas["DeploymentStateEnum"];
export type Counts = Partial<Record<DeploymentState, number>>;
export type Wave = Refined<Schemas["Wave"], { counts: Counts }>;
export type Strategy = Schemas["StrategyEnum"];
export type Selector = Plain<Schemas["Selector"]>;
export type PolicyGate = Refined<Schemas["GateSpec"], { metric: string }>;
export type Policy = Refined<Schemas["Policy"], { gates?: PolicyGate[] }>;
export type Rollout = Refined<Schemas["Rollout"], { waves: Wave[]; counts: Counts; policy: Policy; next: Schemas["Next"] | null }>;
export type GateVerdict = Schemas["VerdictEnum"];

export interface GateSeries {
  ts: (string | number)[];
  value: (number | null)[];
  low?: (number | null)[];
  high?: (number | null)[];
}

/** What a gate saw; every part may be absent. */
export interface GateData {
  needed?: number;
  present?: number;
  needed_unit?: string;
  treated?: GateSeries;
  control?: GateSeries;
  difference?: GateSeries;
  where?: { segment: string; worse: number; of: number; value: number | null }[];
}

export type GateResult = Refined<Schemas["GateResult"], { data: GateData }>;
export type RolloutEvent = Plain<Schemas["RolloutEvent"]>;
export type Metric = Plain<Schemas["Metric"]>;
export type RolloutDefaults = Refined<Schemas["Defaults"], { policy: Policy }>;
export type RolloutDraft = Refined<Schemas["RolloutCreateRequest"], { selector: Selector; policy: Policy }>;
export type RolloutPreview = Plain<Schemas["Preview"]>;
export type Deployment = Refined<Schemas["Deployment"], { evidence: Evidence | "" }>;

// --- Telemetry ------------------------------------------------------------------------------------
export type DriftVerdict = Schemas["DriftVerdictEnum"];
export type DriftCell = Plain<Schemas["DriftCell"]>;
export type Drift = Plain<Schemas["DriftMatrix"]>;
export type DriftCellDetail = Refined<Schemas["DriftCellDetail"], { distribution: Schemas["DriftDistribution"] | null }>;
export type Severity = Schemas["SeverityEnum"];

/** Evidence of an alert; every part may be absent. */
export interface AlertData {
  history?: { at: string; value: number | null }[];
  threshold?: number;
  mean_reference?: number | null;
  mean_current?: number | null;
  device_count?: number;
  row_count?: number;
  psi_excess?: number | null;
  cause?: string;
  features?: string[];
}

export type Alert = Refined<Schemas["Alert"], { subject: Partial<Schemas["AlertSubject"]>; data: AlertData; rule: Schemas["AlertRuleRef"] | null }>;
export type AlertRule = Plain<Schemas["AlertRule"]>;

// --- Work, insights, governance -------------------------------------------------------------------
export type JobState = Schemas["JobStateEnum"];
export type Job = Plain<Schemas["Job"]>;
export type HourState = Schemas["HoursEnum"];
export type AreaHealth = Omit<Plain<Schemas["SiteArea"]>, "site">;
export type Attention = Plain<Schemas["Attention"]>;
export type Overview = Refined<Schemas["Overview"], { rollouts_in_flight: Rollout[]; devices: DeviceSummary }>;
export type TourStep = Plain<Schemas["TourStep"]>;
export type Tour = Plain<Schemas["Tour"]>;
export type ApiToken = Plain<Schemas["ApiToken"]>;
export type ApiTokenCreated = Plain<Schemas["ApiTokenCreated"]>;
export type Person = Plain<Schemas["Person"]>;
export type AuditEntry = Plain<Schemas["AuditEntry"]>;
