"""Offering: from a released wave to an open action, made when the device polls.

Releasing a wave touches no device: the number on the rollout rises, and each device that polls gets its action here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from common.clock import now
from fleet.models import Device, DeviceState
from fleet.services.revisions import device_revisions_bump
from rollouts.models import Action, ActionKind, ActionState, Deployment, DeploymentState
from rollouts.policy.transitions import ROLLOUT_HOLDING, ROLLOUT_OFFERING
from rollouts.services.changes import action_close, deployment_move
from rollouts.services.locks import device_lock

_RELATED: Final = ("rollout__version__model", "device", "variant__artifact", "previous_variant__artifact")
RESTORE_WEIGHT: Final = 1_000  # hawkBit's scale; a restore goes before everything


def device_offer(*, organization_id: int, device_id: int, at: datetime | None = None) -> Action | None:
    """Give a device the action that is due, if any. Idempotent: two polls at once make one action.

    Takes back an offer the device has not fetched when its rollout no longer offers (paused, halted), so that another
    rollout's turn can come.

    Returns:
        The device's open action, also when there was one already.
    """
    at = at or now()
    with transaction.atomic():
        device = device_lock(device_id, organization_id)
        if device is None or device.state != DeviceState.ACCEPTED:
            return None
        action = Action.objects.filter(device_id=device_id).exclude(state=ActionState.CLOSED).first()
        if action is not None and not _is_withdrawn(action, at=at) and not _gives_way(action, at=at):
            return action
        deployment = _due(device_id)
        if deployment is None:
            return None
        return _offer(device, deployment, at=at)


def _is_withdrawn(action: Action, *, at: datetime) -> bool:
    """Close an offer that was not fetched and is no longer made."""
    if action.kind != ActionKind.INSTALL or action.retrieved_at is not None or action.state != ActionState.OPEN:
        return False
    deployment = Deployment.objects.select_related(*_RELATED).get(pk=action.deployment_id)
    rollout = deployment.rollout
    if rollout.state in ROLLOUT_OFFERING and deployment.wave <= rollout.released_wave:
        return False
    action_close(action, "cancelled", at=at)
    if rollout.state not in ROLLOUT_HOLDING and deployment.state == DeploymentState.OFFERED:
        deployment_move(deployment, DeploymentState.CANCELLED, at=at, reason="rollout_ended")
    device_revisions_bump(device_ids=[action.device_id])
    return True


def _gives_way(action: Action, *, at: datetime) -> bool:
    """Close an install that was not fetched when something is to be taken back first; it is offered again later."""
    is_fresh = action.kind == ActionKind.INSTALL and action.retrieved_at is None and action.state == ActionState.OPEN
    if not is_fresh or _restore_due(action.device_id) is None:
        return False
    action_close(action, "cancelled", at=at)
    return True


def _restore_due(device_id: int) -> Deployment | None:
    restored = Action.objects.filter(
        deployment=OuterRef("pk"), kind=ActionKind.RESTORE, state=ActionState.CLOSED, result="success"
    )
    return (
        Deployment.objects.select_related(*_RELATED)
        .filter(device_id=device_id, state=DeploymentState.RESTORING, retry_at=None)
        .exclude(Exists(restored))
        .order_by("id")
        .first()
    )


def _due(device_id: int) -> Deployment | None:
    """The deployment whose turn it is: a restore first, then the older."""
    restore = _restore_due(device_id)
    if restore is not None:
        return restore
    return (
        Deployment.objects.select_related(*_RELATED)
        .filter(
            Q(state=DeploymentState.PLANNED) | Q(state=DeploymentState.OFFERED),
            device_id=device_id,
            wave__gt=0,
            wave__lte=F("rollout__released_wave"),
            rollout__state__in=sorted(ROLLOUT_OFFERING),
        )
        .order_by("id")
        .first()
    )


def _offer(device: Device, deployment: Deployment, *, at: datetime) -> Action | None:
    is_restore = deployment.state == DeploymentState.RESTORING
    if deployment.state == DeploymentState.PLANNED:
        # The reconciler cancels planned deployments in sets, without the devices' locks: whoever is first wins.
        won = Deployment.objects.filter(pk=deployment.pk, state=DeploymentState.PLANNED).update(
            state=DeploymentState.OFFERED
        )
        if not won:
            return None
        deployment_move(deployment, DeploymentState.OFFERED, at=at, attempt=1)
    variant = deployment.previous_variant if is_restore else deployment.variant
    number = device.action_number + 1
    Device.objects.filter(pk=device.pk).update(action_number=number)
    action = Action.objects.create(
        device=device,
        deployment=deployment,
        number=number,
        kind=ActionKind.RESTORE if is_restore else ActionKind.INSTALL,
        variant=variant,
        payload_digest=variant.artifact.sha256 if variant else "",
        created_at=at,
        **({"weight": RESTORE_WEIGHT} if is_restore else {}),
    )
    device_revisions_bump(device_ids=[device.pk])
    return action
