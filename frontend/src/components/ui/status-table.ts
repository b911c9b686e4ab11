/** The status vocabulary: one row for every state of every thing. Icon, word and colour are decided here and nowhere else. */
import type { IconName } from "@/components/ui/icon";
import type { Approval, DeploymentState, DeviceState, DriftVerdict, EnrolmentTokenState, GateVerdict, JobState, RolloutState, Severity, VersionState } from "@/lib/api/types";

export type Tone = "plain" | "quiet" | "ok" | "warn" | "crit";

export interface Entry {
  icon: IconName;
  word: string;
  tone: Tone;
}

const entry = (icon: IconName, word: string, tone: Tone = "plain"): Entry => ({ icon, word, tone });

export interface StateOf {
  device: DeviceState;
  contact: "online" | "offline" | "offline-alert";
  version: VersionState;
  approval: Approval;
  rollout: RolloutState | "holding";
  deployment: DeploymentState;
  gate: GateVerdict;
  drift: DriftVerdict;
  severity: Severity;
  alert: "open" | "acknowledged" | "silenced" | "resolved";
  job: JobState;
  token: EnrolmentTokenState;
  step: "waiting" | "running" | "done" | "failed";
}

export type Thing = keyof StateOf;

export const STATUS: { [T in Thing]: Record<StateOf[T], Entry> } = {
  device: {
    pending: entry("planned", "Pending"),
    accepted: entry("pass", "Accepted"),
    quarantined: entry("warning", "Quarantined", "warn"),
    rejected: entry("rejected", "Rejected", "quiet"),
    decommissioned: entry("skipped", "Decommissioned", "quiet"),
  },
  contact: {
    online: entry("online", "Online"),
    offline: entry("offline-quiet", "Offline", "quiet"),
    "offline-alert": entry("offline", "Offline", "crit"),
  },
  version: {
    draft: entry("planned", "Draft"),
    validating: entry("verifying", "Validating"),
    ready: entry("pass", "Ready"),
    invalid: entry("failed", "Invalid", "crit"),
    deprecated: entry("skipped", "Deprecated", "quiet"),
  },
  approval: {
    none: entry("planned", "Not requested", "quiet"),
    requested: entry("clock-warn", "Approval requested", "warn"),
    approved: entry("pass", "Approved"),
    declined: entry("failed", "Declined", "crit"),
  },
  rollout: {
    draft: entry("planned", "Draft"),
    awaiting_approval: entry("clock-warn", "Awaiting approval", "warn"),
    scheduled: entry("clock", "Scheduled", "quiet"),
    planning: entry("planned", "Planning"),
    running: entry("run", "Running"),
    holding: entry("hold", "Holding", "warn"),
    paused: entry("paused", "Paused", "quiet"),
    needs_decision: entry("decide", "Needs a decision", "warn"),
    cancelling: entry("cancelled", "Cancelling", "quiet"),
    completed: entry("done", "Completed"),
    halted: entry("halt", "Halted", "crit"),
    rolling_back: entry("halt", "Rolling back", "crit"),
    rolled_back: entry("rolled-back", "Rolled back"),
    cancelled: entry("cancelled", "Cancelled", "quiet"),
  },
  deployment: {
    proven: entry("proven", "Proven"),
    probation: entry("claimed", "Probation · claimed"),
    installing: entry("installing", "Installing"),
    verifying: entry("verifying", "Verifying"),
    downloading: entry("downloading", "Downloading"),
    offered: entry("offered", "Offered"),
    retry_wait: entry("clock", "Waits to retry", "quiet"),
    planned: entry("planned", "Planned", "quiet"),
    cancelling: entry("cancelled", "Cancelling", "quiet"),
    restoring: entry("restoring", "Going back"),
    restore_failed: entry("failed", "Return failed", "crit"),
    failed: entry("failed", "Failed", "crit"),
    rolled_back: entry("rolled-back", "Rolled back"),
    skipped: entry("skipped", "Skipped", "quiet"),
    cancelled: entry("cancelled", "Cancelled", "quiet"),
  },
  gate: {
    pass: entry("pass", "Pass"),
    missing_devices: entry("missing", "Devices missing", "warn"),
    not_enough_data: entry("no-data", "Not enough data", "quiet"),
    harm: entry("harm", "Harm", "crit"),
    cannot_compute: entry("unknown", "Cannot compute", "crit"),
  },
  drift: {
    quiet: entry("pass", "Quiet"),
    warn: entry("warning", "Warn", "warn"),
    alert: entry("harm", "Alert", "crit"),
    not_enough_data: entry("no-data", "Not enough data", "quiet"),
  },
  severity: {
    critical: entry("failed", "Critical", "crit"),
    warning: entry("warning", "Warning", "warn"),
    info: entry("info", "Info", "quiet"),
  },
  alert: {
    open: entry("here", "Open"),
    acknowledged: entry("pass", "Acknowledged"),
    silenced: entry("clock", "Silenced", "quiet"),
    resolved: entry("done", "Resolved", "quiet"),
  },
  job: {
    queued: entry("planned", "Queued"),
    running: entry("downloading", "Running"),
    done: entry("done", "Done"),
    failed: entry("failed", "Failed", "crit"),
    cancelled: entry("cancelled", "Cancelled", "quiet"),
  },
  token: {
    active: entry("planned", "Active"),
    used: entry("pass", "Used"),
    expired: entry("rejected", "Expired", "quiet"),
    revoked: entry("cancelled", "Revoked", "quiet"),
  },
  step: {
    waiting: entry("todo", "Waiting", "quiet"),
    running: entry("run", "Running"),
    done: entry("done", "Done"),
    failed: entry("failed", "Failed", "crit"),
  },
};

const UNKNOWN: Entry = entry("unknown", "Unknown", "quiet");

/** The entry of a state; a state a newer server invented is shown as unknown, never guessed. */
export function statusOf<T extends Thing>(thing: T, state: StateOf[T]): Entry {
  return (STATUS[thing] as Partial<Record<StateOf[T], Entry>>)[state] ?? UNKNOWN;
}

/** Order of states inside every bar and list of counts. */
export const DEPLOYMENT_ORDER = [
  "proven",
  "probation",
  "installing",
  "verifying",
  "downloading",
  "offered",
  "retry_wait",
  "planned",
  "cancelling",
  "restoring",
  "restore_failed",
  "failed",
  "rolled_back",
  "skipped",
  "cancelled",
] as const satisfies readonly DeploymentState[];
