"""A device's life: accepted, quarantined, out of service."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F

from common.clock import now
from fleet import events
from fleet.errors import DeviceNotFoundError
from fleet.models import Device
from fleet.policy.contact import is_online
from fleet.policy.lifecycle import next_state
from fleet.services.events import device_event_append
from governance.models import Role
from governance.services.audit import audit_write
from governance.types import Caller

_EVENT_KINDS = {
    "accept": events.ACCEPTED,
    "quarantine": events.QUARANTINED,
    "decommission": events.DECOMMISSIONED,
}


def device_accept(*, caller: Caller, device_id: UUID, reason: str) -> Device:
    """Let a pending or quarantined device take part. See ``_move`` for effects and errors."""
    return _move("accept", caller=caller, device_id=device_id, reason=reason)


def device_quarantine(*, caller: Caller, device_id: UUID, reason: str) -> Device:
    """Keep a device connected and give it nothing. See ``_move`` for effects and errors."""
    return _move("quarantine", caller=caller, device_id=device_id, reason=reason)


def device_decommission(*, caller: Caller, device_id: UUID, reason: str) -> Device:
    """Take a device out of service for good; its credentials stop working. See ``_move``."""
    return _move("decommission", caller=caller, device_id=device_id, reason=reason)


def _move(move: str, *, caller: Caller, device_id: UUID, reason: str) -> Device:
    """One transition, with everything that hangs on it, in one transaction.

    Every move ends the device's access tokens, so that a token never says more than the device's state; a device that
    may still connect gets a new one with its next assertion.

    Raises:
        NotPermittedError: the caller is no operator.
        DeviceNotFoundError: the caller's organization has no such device.
        InvalidTransitionError: its state does not allow the move.
    """
    caller.require(Role.OPERATOR)
    with transaction.atomic():
        device = (
            Device.objects.select_for_update(no_key=True)
            .filter(organization_id=caller.organization_id, public_id=device_id)
            .first()
        )
        if device is None:
            raise DeviceNotFoundError("There is no such device.")
        previous, at = device.state, now()
        Device.objects.filter(pk=device.pk).update(
            state=next_state(move, previous),
            token_generation=F("token_generation") + 1,
            tokens_revoked_at=at,
            revision=F("revision") + 1,
        )
        device.refresh_from_db()
        data = {"from": previous, "to": device.state}
        device_event_append(
            device_id=device.pk,
            kind=_EVENT_KINDS[move],
            at=at,
            data={**data, **({"reason": reason} if reason else {})},
        )
        audit_write(
            organization_id=device.organization_id,
            actor=caller.actor,
            action=f"device.{move}",
            object_kind="device",
            object_id=str(device.public_id),
            reason=reason,
            data=data,
        )
        events.notify_access(device_id=device.pk, token_generation=device.token_generation)
        events.notify_revisions([(device.pk, device.revision)])
        events.publish_device_changed(
            organization_id=device.organization_id,
            public_id=device.public_id,
            state=device.state,
            is_online=is_online(device.last_seen_at, at=at, poll_interval_s=settings.DEVICE_POLL_INTERVAL_S),
            last_seen_at=device.last_seen_at,
        )
    return device
