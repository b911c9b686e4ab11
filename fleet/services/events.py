"""The ledger of what happened to devices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from common.clock import now
from fleet.events import publish_device_event
from fleet.models import Device, DeviceEvent
from fleet.types import EventRecord

_BATCH = 1_000


def device_event_append(
    *,
    device_id: int,
    kind: str,
    at: datetime | None = None,
    reference_kind: str = "",
    reference_id: UUID | None = None,
    data: dict[str, Any] | None = None,
) -> DeviceEvent:
    """Append one entry to a device's timeline and tell its open page. Inside the caller's transaction or alone.

    Args:
        device_id: the device's number.
        kind: ``<entity>.<what happened>``, at most 48 characters.
        at: when; None for now.
        reference_kind: what it is about, with ``reference_id``.
        reference_id: that thing's public id.
        data: small JSON; ``text`` in it is the sentence shown.
    """
    event = DeviceEvent.objects.create(
        device_id=device_id,
        at=at or now(),
        kind=kind,
        reference_kind=reference_kind,
        reference_id=reference_id,
        data=data or {},
    )
    owner = Device.objects.filter(pk=device_id).values_list("organization_id", "public_id").first()
    if owner is not None:
        publish_device_event(organization_id=owner[0], public_id=owner[1], event=event)
    return event


def device_events_append(*, records: Sequence[EventRecord]) -> int:
    """Append many entries, in batches of 1,000. Pages are not told: who appends in bulk publishes its own change.

    Returns how many were written.
    """
    at = now()
    DeviceEvent.objects.bulk_create(
        [
            DeviceEvent(
                device_id=record.device_id,
                at=record.at or at,
                kind=record.kind,
                reference_kind=record.reference_kind,
                reference_id=record.reference_id,
                data=record.data,
            )
            for record in records
        ],
        batch_size=_BATCH,
    )
    return len(records)
