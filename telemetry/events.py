"""What telemetry tells browsers; topics and payloads are those of ``docs/protocol/live.md``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict
from uuid import UUID

import msgspec

from common.live import publish
from telemetry.packing import Latest


class AlertChanged(TypedDict):
    """Data of ``alert.changed`` on ``alerts``."""

    state: str
    severity: str
    title: str


def publish_device_latest(*, organization_id: int, public_id: str, latest: Latest) -> None:
    """Newest values of a device, for its open page: ``device.health`` and ``device.window``."""
    topic = f"device:{public_id}"
    for name, ms, value in (("health", latest.health_ms, latest.health), ("window", latest.window_ms, latest.window)):
        if ms is not None and value is not None:
            publish(
                organization_id=organization_id,
                topic=topic,
                kind=f"device.{name}",
                id=public_id,
                data={
                    name: msgspec.json.decode(value),
                    f"{name}_at": datetime.fromtimestamp(ms / 1000, tz=UTC).isoformat(),
                },
            )


def publish_drift_changed(*, organization_id: int, version_id: UUID) -> None:
    """A version was judged anew: refetch."""
    publish(organization_id=organization_id, topic="drift", kind="drift.changed", id=version_id)


def publish_alert_changed(*, organization_id: int, alert_id: UUID, state: str, severity: str, title: str) -> None:
    """An alert opened, changed or was resolved."""
    data: AlertChanged = {"state": str(state), "severity": str(severity), "title": title}
    publish(organization_id=organization_id, topic="alerts", kind="alert.changed", id=alert_id, data=dict(data))
