"""The one place where a deployment or rollout changes its state; everything that hangs on it hangs here.

Callers hold the lock of the device (for deployments) or of the rollout, see ``locks.py``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from fleet.services.events import device_event_append
from rollouts import events
from rollouts.live import counts_changed
from rollouts.models import Action, ActionState, Deployment, DeploymentState, Rollout, RolloutState
from rollouts.policy import transitions

D = DeploymentState
_FINISHED: Final = frozenset({RolloutState.COMPLETED, RolloutState.ROLLED_BACK, RolloutState.CANCELLED})

# What a timeline says; {what} is "digits 1.1.0".
_TIMELINE: Final[dict[str, tuple[str, str]]] = {
    D.OFFERED: (events.OFFERED, "{what} offered"),
    D.PROBATION: (events.INSTALLED, "{what} installed, in probation"),
    D.PROVEN: (events.PROVEN, "{what} proven ({evidence})"),
    D.FAILED: (events.FAILED, "{what} failed: {reason}"),
    D.RETRY_WAIT: (events.RETRY, "{what} failed, will be tried again: {reason}"),
    D.CANCELLED: (events.CANCELLED, "{what} cancelled"),
    D.ROLLED_BACK: (events.ROLLED_BACK, "{what} taken back"),
    D.RESTORE_FAILED: (events.RESTORE_FAILED, "{what} could not be taken back: {reason}"),
}


def deployment_move(deployment: Deployment, to: str, *, at: datetime, reason: str = "", **columns: Any) -> None:
    """Move a deployment, write its timeline and tell the open pages.

    Args:
        deployment: with ``rollout.version.model`` and ``device`` at hand; its device is locked by the caller.
        to: the new state.
        at: when.
        reason: a reason code, for the states that have one.
        columns: further columns to set.

    Raises:
        InvalidTransitionError: the table has no such move.
    """
    transitions.check_deployment(deployment.state, to)
    values = {"state": to, "state_at": at, "reason_code": reason, **columns}
    Deployment.objects.filter(pk=deployment.pk).update(**values)
    for name, value in values.items():
        setattr(deployment, name, value)
    deployment_tell(deployment, at=at)


def deployment_tell(deployment: Deployment, *, at: datetime) -> None:
    """Write the timeline for the deployment's present state and tell the open pages."""
    rollout, device = deployment.rollout, deployment.device
    kind, text = _TIMELINE.get(deployment.state, ("", ""))
    if kind:
        version = rollout.version
        device_event_append(
            device_id=deployment.device_id,
            kind=kind,
            at=at,
            reference_kind="rollout",
            reference_id=rollout.public_id,
            data={
                "text": text.format(
                    what=f"{version.model.name} {version.version}",
                    evidence=deployment.evidence,
                    reason=deployment.reason_code.replace("_", " "),
                ),
                "model": version.model.name,
                "version": version.version,
                "reason_code": deployment.reason_code,
            },
        )
    events.publish_deployment_changed(
        organization_id=rollout.organization_id,
        device_id=device.public_id,
        deployment_id=events.deployment_public_id(rollout.public_id, device.public_id),
        data={
            "state": deployment.state,
            "state_at": at.isoformat(),
            "reason_code": deployment.reason_code,
            "evidence": deployment.evidence,
            "attempt": deployment.attempt,
        },
    )
    counts_changed(rollout)


def action_close(action: Action, result: str, *, at: datetime) -> None:
    """End an action: ``success``, ``failure`` or ``cancelled``."""
    transitions.check_action(action.state, ActionState.CLOSED)
    action.state, action.result, action.closed_at = ActionState.CLOSED, result, at
    action.save(update_fields=["state", "result", "closed_at"])


def rollout_move(
    rollout: Rollout, to: str, *, at: datetime, kind: str, text: str, data: dict[str, Any] | None = None, **columns: Any
) -> None:
    """Move a rollout, write its event log, tell gateways and browsers.

    Args:
        rollout: locked by the caller.
        to: the new state.
        at: when.
        kind: of the event.
        text: the event's sentence.
        data: the event's data.
        columns: further columns to set.

    Raises:
        InvalidTransitionError: the table has no such move.
    """
    transitions.check_rollout(rollout.state, to)
    columns["state"] = to
    if to in _FINISHED:
        columns.setdefault("finished_at", at)
    rollout_set(rollout, **columns)
    events.rollout_event_append(rollout=rollout, kind=kind, text=text, at=at, data=data)


def rollout_set(rollout: Rollout, **columns: Any) -> None:
    """Set columns of a locked rollout; tell gateways and browsers."""
    Rollout.objects.filter(pk=rollout.pk).update(**columns)
    for name, value in columns.items():
        setattr(rollout, name, value)
    events.notify_released(rollout)
    events.publish_rollout_changed(rollout)
