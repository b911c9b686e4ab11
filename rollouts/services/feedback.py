"""What devices say about their actions. Nothing a device says here makes it proven."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from common.clock import now
from fleet.models import Device
from fleet.services.revisions import device_revisions_bump
from fleet.types import DeviceCaller
from rollouts import events
from rollouts.errors import ActionClosedError, ActionNotCancellingError, ActionNotFoundError, TooMuchFeedbackError
from rollouts.models import (
    Action,
    ActionFeedback,
    ActionKind,
    ActionState,
    Deployment,
    DeploymentState,
    RolloutState,
)
from rollouts.policy.outcomes import FAILED, UNSUPPORTED, reason_of, retry_after
from rollouts.policy.transitions import can_deployment
from rollouts.policy.types import policy_from
from rollouts.services.changes import action_close, deployment_move
from rollouts.services.locks import device_lock

FEEDBACK_MAX: Final = 1_000  # intermediate messages per action (hawkBit's cap)
_LINES: Final = 50  # details kept of one message; SWUpdate sends up to 48
_LINE_LENGTH: Final = 512
D = DeploymentState
_GOING_BACK: Final = frozenset({RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK})
_WITHDRAWN: Final = _GOING_BACK | {RolloutState.CANCELLING, RolloutState.CANCELLED}

# What an intermediate message says about where the device is. hawkBit's words, then our agent's (``details[0]``).
_STEPS: Final = {
    "download": D.DOWNLOADING,
    "downloaded": D.VERIFYING,
    "downloading": D.DOWNLOADING,
    "verifying": D.VERIFYING,
    "installing": D.INSTALLING,
}


def action_feedback(
    caller: DeviceCaller, *, number: int, execution: str, finished: str, details: list[str], at: datetime | None = None
) -> None:
    """Take a message on ``deploymentBase/{number}/feedback``.

    Args:
        caller: the device.
        number: the action's.
        execution: hawkBit's word, for example ``proceeding`` or ``closed``.
        finished: ``success``, ``failure`` or ``none``.
        details: lines of text.
        at: when; None for now.

    Raises:
        ActionNotFoundError: no such action of this device.
        ActionClosedError: it has ended.
        TooMuchFeedbackError: an intermediate message too many; ending is always possible.
    """
    at = at or now()
    with transaction.atomic():
        action = _locked(caller, number)
        _keep(action, execution, finished, details, at=at)
        deployment = action.deployment
        if execution == "closed" and finished == "failure":
            _failed(action, reason_of(details), at=at)
        elif execution == "closed":
            _succeeded(action, at=at)
        elif execution == "canceled":
            _gave_up(action, at=at)
        else:
            step = _STEPS.get(execution) or _STEPS.get(details[0] if details else "")
            # While a cancel is under way, progress sent before the device heard of it is only kept.
            is_install = action.kind == ActionKind.INSTALL and action.state == ActionState.OPEN
            if step is not None and is_install and can_deployment(deployment.state, step):
                deployment_move(deployment, step, at=at)


def cancel_feedback(
    caller: DeviceCaller, *, number: int, execution: str, finished: str, details: list[str], at: datetime | None = None
) -> None:
    """Take a message on ``cancelAction/{number}/feedback``. Arguments and errors as ``action_feedback``.

    Raises:
        ActionNotCancellingError: nobody asked for a cancel.
    """
    at = at or now()
    with transaction.atomic():
        action = _locked(caller, number)
        if action.state != ActionState.CANCELLING:
            raise ActionNotCancellingError("This action is not being cancelled.")
        _keep(action, execution, finished, details, at=at)
        deployment = action.deployment
        if execution == "closed" and finished != "failure":
            action_close(action, "cancelled", at=at)
            deployment_move(deployment, D.CANCELLED, at=at, reason="rollout_withdrawn")
        elif execution == "rejected" or (execution == "closed" and finished == "failure"):
            # The device is past the point of return. It goes on, and what it then runs is dealt with as such.
            Action.objects.filter(pk=action.pk).update(state=ActionState.OPEN)
            deployment_move(deployment, D.INSTALLING, at=at, reason="cancel_refused")
        else:
            return
        device_revisions_bump(device_ids=[caller.device_id])


def _locked(caller: DeviceCaller, number: int) -> Action:
    device = device_lock(caller.device_id, caller.organization_id)
    action = (
        Action.objects.select_related("deployment__rollout__version__model", "deployment__device")
        .filter(device_id=caller.device_id, number=number)
        .first()
        if device is not None
        else None
    )
    if action is None:
        raise ActionNotFoundError("There is no such action for this device.")
    if action.state == ActionState.CLOSED:
        raise ActionClosedError("The action has ended.")
    return action


def _keep(action: Action, execution: str, finished: str, details: list[str], *, at: datetime) -> None:
    is_end = execution in {"closed", "canceled", "rejected"}
    if not is_end and ActionFeedback.objects.filter(action=action).count() >= FEEDBACK_MAX:
        raise TooMuchFeedbackError(
            f"This action has {FEEDBACK_MAX} messages; only its end is taken.", context={"action": action.pk}
        )
    ActionFeedback.objects.create(
        action=action,
        at=at,
        execution=execution,
        finished=finished,
        details=[line[:_LINE_LENGTH] for line in details[:_LINES]],
    )


def _succeeded(action: Action, *, at: datetime) -> None:
    """The device says it switched. That is a claim; proof comes by report or attributes."""
    action_close(action, "success", at=at)
    deployment = action.deployment
    if action.kind == ActionKind.INSTALL:
        # Also when a cancel was under way: SWUpdate answers it so, and it may have switched before it heard of it.
        # A device that cannot sign is asked for its attributes when the soak is over.
        soak = timedelta(seconds=policy_from(deployment.rollout.policy).soak_s)
        ask_at = at + soak if deployment.device.public_key is None else None
        deployment_move(deployment, D.PROBATION, at=at, installed_at=at, evidence="claimed", retry_at=ask_at)
        if deployment.rollout.state in _GOING_BACK:
            deployment_move(deployment, D.RESTORING, at=at, attempt=0, retry_at=None)
    else:
        # Proof must follow, as after an install; ``timers.py`` looks whether it did.
        proof = timedelta(seconds=policy_from(deployment.rollout.policy).timeouts.proof_s)
        Deployment.objects.filter(pk=deployment.pk).update(retry_at=at + proof)
    Device.objects.filter(pk=action.device_id).update(attributes_wanted=True)
    device_revisions_bump(device_ids=[action.device_id])


def _failed(action: Action, reason: str, *, at: datetime) -> None:
    action_close(action, "failure", at=at)
    deployment = action.deployment
    if action.kind == ActionKind.RESTORE:
        # A client that gives no code for a failed removal does not know removals: asking again would not teach it.
        is_unknown = action.variant_id is None and reason == FAILED
        restore_failed(deployment, UNSUPPORTED if is_unknown else reason, at=at)
    elif deployment.state == D.CANCELLING:
        deployment_move(deployment, D.CANCELLED, at=at, reason=reason)
    else:
        attempt_failed(deployment, reason, at=at)
    device_revisions_bump(device_ids=[action.device_id])


def _gave_up(action: Action, *, at: datetime) -> None:
    """``canceled`` on a deployment: the device will not do it."""
    action_close(action, "cancelled", at=at)
    deployment = action.deployment
    if action.kind == ActionKind.RESTORE:
        restore_failed(deployment, "cancelled_by_device", at=at)
    elif deployment.state == D.CANCELLING:
        deployment_move(deployment, D.CANCELLED, at=at, reason="rollout_withdrawn")
    else:
        deployment_move(deployment, D.FAILED, at=at, reason="cancelled_by_device", retry_at=None)
    device_revisions_bump(device_ids=[action.device_id])


def attempt_failed(deployment: Deployment, reason: str, *, at: datetime) -> None:
    """End an attempt: wait and try again, or fail for good. The device is locked, the action closed.

    A rollout that is being withdrawn gives no further attempt.
    """
    if deployment.rollout.state in _WITHDRAWN:
        deployment_move(deployment, D.CANCELLED, at=at, reason=reason, retry_at=None)
        return
    wait = retry_after(policy_from(deployment.rollout.policy).retry, attempt=deployment.attempt, reason=reason)
    if wait is None:
        deployment_move(deployment, D.FAILED, at=at, reason=reason, retry_at=None)
        events.rollout_event_append(
            rollout=deployment.rollout,
            kind="deployment.failed",
            text=f"{deployment.device.controller_id} failed: {reason}",
            at=at,
            data={"device": str(deployment.device.public_id), "reason_code": reason},
        )
    else:
        deployment_move(deployment, D.RETRY_WAIT, at=at, reason=reason, retry_at=at + wait)


def restore_failed(deployment: Deployment, reason: str, *, at: datetime) -> None:
    """End an attempt to go back: try again later, or give up. The device is locked, the action closed."""
    attempt = deployment.attempt + 1
    wait = retry_after(policy_from(deployment.rollout.policy).retry, attempt=attempt, reason=reason)
    if wait is None:
        deployment_move(deployment, D.RESTORE_FAILED, at=at, reason=reason, attempt=attempt, retry_at=None)
    else:
        Deployment.objects.filter(pk=deployment.pk).update(attempt=attempt, reason_code=reason, retry_at=at + wait)
