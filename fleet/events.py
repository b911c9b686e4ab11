"""What the fleet tells: live changes for browsers, notices for in-process caches, kinds of the timeline.

Topics and payloads are those of ``docs/protocol/live.md``. Call these inside the transaction of the change or after it;
they are sent once it has committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict
from uuid import UUID

from common.live import notify, publish
from fleet.models import DeviceEvent

CHANNEL_REVISIONS = "device_revisions"
"""Payload: list of ``[device number, new revision]``."""
CHANNEL_ACCESS = "device_access"
"""Payload: ``[device number, token generation]``: older tokens are refused from now on."""
_REVISIONS_PER_NOTICE = 200  # keeps a notice well below the bus's payload limit

ENROLLED = "device.enrolled"
ACCEPTED = "device.accepted"
QUARANTINED = "device.quarantined"
DECOMMISSIONED = "device.decommissioned"
CONTACT_LOST = "contact.lost"
CONTACT_BACK = "contact.back"
ATTRIBUTES_CHANGED = "device.attributes_changed"

TEXTS: Final[dict[str, str]] = {
    ENROLLED: "Enrolled",
    ACCEPTED: "Accepted",
    QUARANTINED: "Quarantined",
    DECOMMISSIONED: "Decommissioned",
    CONTACT_LOST: "Contact lost",
    CONTACT_BACK: "In contact again",
    ATTRIBUTES_CHANGED: "Reported new attributes",
}


class DeviceChanged(TypedDict):
    """Data of ``device.changed`` on ``devices`` and ``device:<id>``."""

    state: str
    is_online: bool
    last_seen_at: str | None


def event_text(kind: str, data: dict[str, Any]) -> str:
    """The sentence a timeline shows: the event's own, its kind's, or the kind in words."""
    text = data.get("text")
    if isinstance(text, str) and text:
        return text
    return TEXTS.get(kind) or kind.replace(".", " ").replace("_", " ").capitalize()


def publish_device_changed(
    *, organization_id: int, public_id: UUID, state: str, is_online: bool, last_seen_at: datetime | None
) -> None:
    """Tell browsers how a device is now."""
    data: DeviceChanged = {
        "state": str(state),
        "is_online": is_online,
        "last_seen_at": last_seen_at.isoformat() if last_seen_at else None,
    }
    for topic in ("devices", f"device:{public_id}"):
        publish(
            organization_id=organization_id,
            topic=topic,
            kind="device.changed",
            id=public_id,
            data=dict(data),
        )


def publish_device_event(*, organization_id: int, public_id: UUID, event: DeviceEvent) -> None:
    """Tell an open device page the newest entry of its timeline, as in ``devices/{id}/events/`` but for names."""
    reference = {"kind": event.reference_kind, "id": str(event.reference_id), "name": None}
    publish(
        organization_id=organization_id,
        topic=f"device:{public_id}",
        kind="device.event",
        id=str(event.pk),
        data={
            "id": str(event.pk),
            "at": event.at.isoformat(),
            "kind": event.kind,
            "text": event_text(event.kind, event.data),
            "reference": reference if event.reference_id else None,
            "data": event.data,
        },
    )


def notify_revisions(revisions: Iterable[tuple[int, int]]) -> None:
    """Tell gateways that what these devices would be told at their next poll may have changed."""
    pairs: Sequence[tuple[int, int]] = list(revisions)
    for start in range(0, len(pairs), _REVISIONS_PER_NOTICE):
        notify(CHANNEL_REVISIONS, [list(pair) for pair in pairs[start : start + _REVISIONS_PER_NOTICE]])


def notify_access(*, device_id: int, token_generation: int) -> None:
    """Tell gateways to refuse the device's older access tokens."""
    notify(CHANNEL_ACCESS, [device_id, token_generation])
