/**
 * Which action a state and a role allow, mirrored once for the buttons; the server decides.
 * Rollouts: rollouts/policy/transitions.py. Versions: models_registry/policy. Devices: fleet/policy. Roles: governance.
 */
import type { Alert, ApiToken, Device, DeviceState, EnrolmentToken, Job, JobState, ModelVersion, Role, Rollout, RolloutState } from "@/lib/api/types";
import { words } from "@/lib/format/text";

const RANK: Record<Role, number> = { viewer: 0, operator: 1, administrator: 2 };

/** True when `role` includes `needed`; each role includes the one before. */
export function hasRole(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

/** Null when allowed, else the reason in words, which the disabled button shows. */
export type Denial = string | null;

function needsRole(role: Role, needed: Role): Denial {
  return hasRole(role, needed) ? null : `Needs the role ${needed}. An administrator can grant it.`;
}

export type RolloutAction = "start" | "pause" | "resume" | "halt" | "rollback" | "cancel";

export const ROLLOUT_ACTIONS: Record<RolloutAction, readonly RolloutState[]> = {
  start: ["draft"],
  pause: ["running"],
  resume: ["paused", "needs_decision", "halted"],
  halt: ["running", "paused", "needs_decision"],
  rollback: ["halted", "completed"],
  cancel: ["draft", "awaiting_approval", "scheduled", "planning", "running", "paused", "needs_decision", "halted"],
};

const ROLLOUT_VERBS: Record<RolloutAction, string> = {
  start: "started",
  pause: "paused",
  resume: "resumed",
  halt: "halted",
  rollback: "rolled back",
  cancel: "cancelled",
};

export function rolloutDenial(action: RolloutAction, rollout: Pick<Rollout, "state">, role: Role): Denial {
  const right = needsRole(role, "operator");
  if (right !== null) return right;
  if (ROLLOUT_ACTIONS[action].includes(rollout.state)) return null;
  return `A rollout that is ${words(rollout.state)} cannot be ${ROLLOUT_VERBS[action]}.`;
}

export type VersionAction = "request-approval" | "approve" | "decline" | "deprecate" | "roll-out";

export function versionDenial(action: VersionAction, version: Pick<ModelVersion, "state" | "approval">, role: Role): Denial {
  const right = needsRole(role, action === "approve" || action === "decline" ? "administrator" : "operator");
  if (right !== null) return right;
  if (version.state !== "ready") return `The version is ${version.state}; only a ready one can be used.`;
  switch (action) {
    case "request-approval":
      return version.approval === "none" || version.approval === "declined" ? null : `Approval is already ${version.approval}.`;
    case "approve":
    case "decline":
      return version.approval === "requested" ? null : version.approval === "none" ? "Approval has not been requested." : `The version is already ${version.approval}.`;
    case "deprecate":
      return null;
    case "roll-out":
      return version.approval === "approved" ? null : "Only an approved version can be rolled out.";
  }
}

export type DeviceAction = "accept" | "quarantine" | "decommission";

export const DEVICE_ACTIONS: Record<DeviceAction, readonly DeviceState[]> = {
  accept: ["pending", "quarantined"],
  quarantine: ["accepted"],
  decommission: ["accepted", "quarantined"],
};

const DEVICE_VERBS: Record<DeviceAction, string> = { accept: "accepted", quarantine: "quarantined", decommission: "decommissioned" };

export function deviceDenial(action: DeviceAction, device: Pick<Device, "state">, role: Role): Denial {
  const right = needsRole(role, "operator");
  if (right !== null) return right;
  if (DEVICE_ACTIONS[action].includes(device.state)) return null;
  return `A device that is ${device.state} cannot be ${DEVICE_VERBS[action]}.`;
}

export type JobAction = "cancel" | "retry";

export const JOB_ACTIONS: Record<JobAction, readonly JobState[]> = {
  cancel: ["queued", "running"],
  retry: ["failed", "cancelled"],
};

export function jobDenial(action: JobAction, job: Pick<Job, "state">, role: Role): Denial {
  const right = needsRole(role, "operator");
  if (right !== null) return right;
  return JOB_ACTIONS[action].includes(job.state) ? null : `A job that is ${job.state} cannot be ${action === "cancel" ? "cancelled" : "retried"}.`;
}

export type AlertAction = "acknowledge" | "silence" | "resolve";

export function alertDenial(action: AlertAction, alert: Pick<Alert, "state" | "acknowledged_at">, role: Role): Denial {
  const right = needsRole(role, "operator");
  if (right !== null) return right;
  if (alert.state === "resolved") return "The alert is resolved.";
  return action === "acknowledge" && alert.acknowledged_at !== null ? "The alert is already acknowledged." : null;
}

export function createDenial(kind: "rollout" | "version" | "enrolment-token" | "api-token", role: Role): Denial {
  return needsRole(role, kind === "api-token" ? "administrator" : "operator");
}

export function tokenRevokeDenial(token: Pick<ApiToken, "state"> | Pick<EnrolmentToken, "state">, role: Role, needed: Role): Denial {
  return needsRole(role, needed) ?? (token.state === "active" ? null : `The token is ${token.state}.`);
}
