"""What time alone does to deployments: next attempts, silence, proof that never comes. For all rollouts, in capped
batches.

Also rollouts that have ended have such deployments: devices that come late.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction

from common.errors import DomainError
from fleet.models import Device
from fleet.services.revisions import device_revisions_bump
from rollouts.models import Action, ActionKind, ActionState, Deployment, DeploymentState
from rollouts.policy.transitions import DEPLOYMENT_IN_MOTION
from rollouts.policy.types import policy_from
from rollouts.services.changes import action_close, deployment_move
from rollouts.services.feedback import attempt_failed, restore_failed
from rollouts.services.locks import devices_lock_free

logger = logging.getLogger(__name__)
D = DeploymentState
_BATCH: Final = 500
_ASK_AGAIN: Final = timedelta(minutes=1)
_ANSWERING: Final = DEPLOYMENT_IN_MOTION | {D.CANCELLING}  # the device has fetched the action and is to say something

# How long silence is allowed stands in each rollout's policy. A device that reports progress is not silent. One that is
# away is told of a cancel when it returns; one that asks for work and never answers a cancel does not know cancels. A
# rollback goes on waiting for it all the same: it may have switched, and is then to be restored.
_SILENT: Final = """
SELECT d.id, d.device_id
FROM rollouts_deployment d JOIN rollouts_rollout r ON r.id = d.rollout_id JOIN fleet_device v ON v.id = d.device_id
CROSS JOIN LATERAL (
    SELECT %(at)s - make_interval(secs => (r.policy #>> '{timeouts,progress_s}')::float8) AS since,
        %(at)s - make_interval(secs => (r.policy #>> '{timeouts,reachable_s}')::float8) AS reachable_since
) p
WHERE d.state = ANY(%(states)s) AND d.state_at <= p.since
AND (d.state <> 'cancelling' OR r.state = 'cancelling' AND v.last_seen_at >= p.reachable_since) AND NOT EXISTS (
    SELECT 1 FROM rollouts_action a JOIN rollouts_actionfeedback f ON f.action_id = a.id
    WHERE a.deployment_id = d.id AND f.at > p.since
)
ORDER BY d.state_at LIMIT %(limit)s
"""

# A restore counts from when the device fetched it: before, it has not heard of it.
_SILENT_RESTORE: Final = """
SELECT d.id, d.device_id
FROM rollouts_action a JOIN rollouts_deployment d ON d.id = a.deployment_id
JOIN rollouts_rollout r ON r.id = d.rollout_id
CROSS JOIN LATERAL (SELECT %(at)s - make_interval(secs => (r.policy #>> '{timeouts,progress_s}')::float8) AS since) p
WHERE a.kind = 'restore' AND a.state <> 'closed' AND a.retrieved_at <= p.since AND NOT EXISTS (
    SELECT 1 FROM rollouts_actionfeedback f WHERE f.action_id = a.id AND f.at > p.since
)
ORDER BY a.id LIMIT %(limit)s
"""


def deployments_tick(*, at: datetime) -> int:
    """Do what has come due, at most 500 of each kind. Idempotent. Returns how many deployments were touched."""
    due = Deployment.objects.filter(retry_at__lte=at).order_by("retry_at").values_list("pk", "device_id")[:_BATCH]
    with connection.cursor() as cursor:
        cursor.execute(_SILENT, {"states": sorted(_ANSWERING), "at": at, "limit": _BATCH})
        silent = cursor.fetchall()
        cursor.execute(_SILENT_RESTORE, {"at": at, "limit": _BATCH})
        silent_restores = cursor.fetchall()
    return (
        _each(list(due), _come_due, at=at)
        + _each(silent, _fell_silent, at=at)
        + _each(silent_restores, _restore_fell_silent, at=at)
    )


def _each(pairs: Sequence[tuple[int, int]], act: Callable[[Deployment, datetime], bool], *, at: datetime) -> int:
    if not pairs:
        return 0
    with transaction.atomic():
        held = devices_lock_free(sorted({device_id for _, device_id in pairs}))
        deployments = Deployment.objects.select_related("rollout__version__model", "device").filter(
            pk__in=[pk for pk, _ in pairs], device_id__in=held
        )
        return sum(_alone(act, deployment, at=at) for deployment in deployments)


def _alone(act: Callable[[Deployment, datetime], bool], deployment: Deployment, *, at: datetime) -> bool:
    """One deployment that cannot be moved must not hold up those that came due with it."""
    try:
        with transaction.atomic():
            return act(deployment, at)
    except DomainError:
        logger.exception("a timed deployment could not be moved", extra={"deployment": deployment.pk})
        return False


def _come_due(deployment: Deployment, at: datetime) -> bool:
    if deployment.retry_at is None or deployment.retry_at > at:
        return False
    if deployment.state == D.RETRY_WAIT:
        deployment_move(deployment, D.OFFERED, at=at, attempt=deployment.attempt + 1, retry_at=None)
    elif deployment.state == D.PROBATION:
        # The soak is over and nothing proves what runs: ask a device that cannot sign for its attributes.
        Deployment.objects.filter(pk=deployment.pk).update(retry_at=at + _ASK_AGAIN)
        Device.objects.filter(pk=deployment.device_id).update(attributes_wanted=True)
    elif deployment.state == D.RESTORING and _claims_restored(deployment):
        _restore_unproven(deployment, at)
    else:
        Deployment.objects.filter(pk=deployment.pk).update(retry_at=None)
    device_revisions_bump(device_ids=[deployment.device_id])
    return True


def _claims_restored(deployment: Deployment) -> bool:
    return Action.objects.filter(
        deployment=deployment, kind=ActionKind.RESTORE, state=ActionState.CLOSED, result="success"
    ).exists()


def _restore_unproven(deployment: Deployment, at: datetime) -> None:
    """The device said it went back and nothing proves it. A rollback must not wait for that for ever; but a device that
    is away gets its time when it returns.
    """
    timeouts = policy_from(deployment.rollout.policy).timeouts
    seen_at = deployment.device.last_seen_at
    if seen_at is None or seen_at < at - timedelta(seconds=timeouts.reachable_s):
        again = at + max(_ASK_AGAIN, timedelta(seconds=timeouts.proof_s))
        Deployment.objects.filter(pk=deployment.pk).update(retry_at=again)
    else:
        deployment_move(deployment, D.RESTORE_FAILED, at=at, reason="not_proven", retry_at=None)


def _fell_silent(deployment: Deployment, at: datetime) -> bool:
    patience = timedelta(seconds=policy_from(deployment.rollout.policy).timeouts.progress_s)
    if deployment.state not in _ANSWERING or deployment.state_at + patience > at:
        return False
    action = Action.objects.filter(deployment=deployment).exclude(state=ActionState.CLOSED).first()
    if action is not None:
        action_close(action, "failure", at=at)
    if deployment.state == D.CANCELLING:
        deployment_move(deployment, D.FAILED, at=at, reason="cancel_not_answered", retry_at=None)
    else:
        attempt_failed(deployment, "timeout", at=at)
    device_revisions_bump(device_ids=[deployment.device_id])
    return True


def _restore_fell_silent(deployment: Deployment, at: datetime) -> bool:
    patience = timedelta(seconds=policy_from(deployment.rollout.policy).timeouts.progress_s)
    action = (
        Action.objects.filter(deployment=deployment, kind=ActionKind.RESTORE).exclude(state=ActionState.CLOSED).first()
    )
    if deployment.state != D.RESTORING or action is None:
        return False
    if action.retrieved_at is None or action.retrieved_at + patience > at:
        return False
    action_close(action, "failure", at=at)
    restore_failed(deployment, "timeout", at=at)
    device_revisions_bump(device_ids=[deployment.device_id])
    return True
