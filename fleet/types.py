"""Plain values of the fleet that cross app borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class DeviceCaller:
    """An authenticated device, as its access token says. ``tenant`` is the organization's slug."""

    organization_id: int
    device_id: int
    controller_id: str
    tenant: str


@dataclass(frozen=True)
class DeviceRef:
    """A device as other apps name it. Names are None where the device has none."""

    id: int
    public_id: UUID
    organization_id: int
    controller_id: str
    name: str
    state: str
    hardware_profile: str
    site: str | None
    region: str | None


@dataclass(frozen=True)
class EventRecord:
    """One entry of a device's timeline, to be appended.

    Args:
        device_id: the device's number.
        kind: ``<entity>.<what happened>``, for example ``deployment.proven``.
        reference_kind: kind of the thing it is about, with ``reference_id``; the screen links there.
        reference_id: that thing's public id.
        data: small JSON. ``text`` in it is the sentence shown; without one the kind's own text is.
        at: when it happened; None for now.
    """

    device_id: int
    kind: str
    reference_kind: str = ""
    reference_id: UUID | None = None
    data: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None


@dataclass(frozen=True)
class LatestValues:
    """The newest telemetry of a device, by column name as in ``docs/protocol/device.md``; None when there is none."""

    health: dict[str, Any] | None = None
    health_at: datetime | None = None
    window: dict[str, Any] | None = None
    window_at: datetime | None = None
