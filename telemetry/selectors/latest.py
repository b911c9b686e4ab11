"""The newest values of devices."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fleet.types import LatestValues
from telemetry.models import DeviceLatest


def latest_values(device_ids: Collection[int]) -> Mapping[int, LatestValues]:
    """Newest values by device number, in one query; devices without any are left out.

    The caller has scoped ``device_ids`` to one organization already; the fleet asks through its provider hook.
    """
    rows = DeviceLatest.objects.filter(device_id__in=device_ids).values_list(
        "device_id", "health", "health_at", "window", "window_at"
    )
    return {
        device_id: LatestValues(health=health, health_at=health_at, window=window, window_at=window_at)
        for device_id, health, health_at, window, window_at in rows
    }
