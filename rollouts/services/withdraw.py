"""Taking a version back, or stopping on the way: in batches, idempotent, by the reconciler."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from fleet.models import DeviceState, InstalledModel
from fleet.services.revisions import device_revisions_bump
from rollouts.live import counts_changed
from rollouts.models import Action, ActionState, Deployment, DeploymentState, Rollout
from rollouts.policy.transitions import DEPLOYMENT_IN_MOTION, check_action
from rollouts.services.changes import action_close, deployment_move
from rollouts.services.locks import devices_lock_free

D = DeploymentState
_BATCH: Final = 500  # devices told one by one per pass
_PLANNED_BATCH: Final = 20_000  # devices that never heard of it, in one statement

_CANCEL_PLANNED: Final = """
WITH few AS (
    SELECT id FROM rollouts_deployment WHERE rollout_id = %s AND state = 'planned'
    LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE rollouts_deployment d SET state = 'cancelled', state_at = %s, reason_code = %s FROM few WHERE d.id = few.id
"""


def devices_withdraw(rollout: Rollout, *, at: datetime, reason: str, is_rollback: bool) -> int:
    """One pass: cancel what has not begun, stop what is under way, and for a rollback restore what runs.

    Args:
        rollout: locked by the caller.
        at: when.
        reason: reason code of the cancelled deployments.
        is_rollback: also take the version back from devices that run it.

    Returns:
        How many deployments were touched or must be looked at again, since a device was busy with us at this moment; 0
        means there is nothing left to start.
    """
    touched = _cancel_planned(rollout, at=at, reason=reason)
    waiting = Q(state__in=[D.OFFERED, D.RETRY_WAIT])
    moving = Q(state__in=sorted(DEPLOYMENT_IN_MOTION)) & ~Q(reason_code="cancel_refused")
    wanted = waiting | moving
    if is_rollback:
        wanted |= Q(state=D.PROBATION) | (Q(state=D.PROVEN) & Q(Exists(_still_runs_it())))
    rows = list(
        Deployment.objects.filter(wanted, rollout=rollout).order_by("id").values_list("pk", "device_id")[:_BATCH]
    )
    if not rows:
        return touched
    held = devices_lock_free([device_id for _, device_id in rows])
    deployments: QuerySet[Deployment] = Deployment.objects.select_related("rollout__version__model", "device").filter(
        wanted, pk__in=[pk for pk, _ in rows], device_id__in=held
    )
    changed: list[int] = []
    for deployment in deployments:
        deployment.rollout = rollout
        if deployment.state in {D.PROBATION, D.PROVEN}:
            deployment_move(deployment, D.RESTORING, at=at, attempt=0, retry_at=None)
        else:
            _stop(deployment, at=at, reason=reason)
        changed.append(deployment.device_id)
    device_revisions_bump(device_ids=changed)
    return touched + len(rows)


def _still_runs_it() -> QuerySet[InstalledModel]:
    """A later rollout may have moved the device on; then there is nothing to take back."""
    return InstalledModel.objects.filter(
        device_id=OuterRef("device_id"),
        model_name=OuterRef("rollout__version__model__name"),
        digest=OuterRef("variant__artifact__sha256"),
    )


def _cancel_planned(rollout: Rollout, *, at: datetime, reason: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_CANCEL_PLANNED, [rollout.pk, _PLANNED_BATCH, at, reason])
        count: int = cursor.rowcount
    if count:
        counts_changed(rollout)
    return count


def _stop(deployment: Deployment, *, at: datetime, reason: str) -> None:
    action = Action.objects.filter(deployment=deployment).exclude(state=ActionState.CLOSED).first()
    if action is None or action.retrieved_at is None:
        # The device has not heard of it, or is waiting to try again.
        if action is not None:
            action_close(action, "cancelled", at=at)
        deployment_move(deployment, D.CANCELLED, at=at, reason=reason, retry_at=None)
        return
    if action.state == ActionState.OPEN:
        check_action(action.state, ActionState.CANCELLING)
        Action.objects.filter(pk=action.pk).update(state=ActionState.CANCELLING)
    deployment_move(deployment, D.CANCELLING, at=at, reason=reason)


def withdrawal_open(rollout: Rollout, *, reachable_since: datetime, is_rollback: bool) -> tuple[int, int]:
    """How many devices are still on their way back: reachable ones, and others, which are served when they return (or
    are accepted again).

    Args:
        rollout: the rollout.
        reachable_since: devices heard of since then are reachable.
        is_rollback: whether devices that run the version count too.
    """
    states: Sequence[str] = [D.OFFERED, D.RETRY_WAIT, D.CANCELLING, *sorted(DEPLOYMENT_IN_MOTION)]
    if is_rollback:
        states = [*states, D.RESTORING, D.PROBATION]
    rows = Deployment.objects.filter(rollout=rollout, state__in=states)
    reachable = rows.filter(device__last_seen_at__gte=reachable_since, device__state=DeviceState.ACCEPTED).count()
    return reachable, rows.count() - reachable
