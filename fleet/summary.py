"""Counts over the fleet: the summary and the facets beside a filtered list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet

from common.clock import now
from fleet.models import Device, InstalledModel
from fleet.policy.contact import online_since
from fleet.selectors import IN_SERVICE, DeviceFilter, devices_filter
from governance.types import Caller


@dataclass(frozen=True)
class DeviceCounts:
    """How many devices of one group are in service, and how many of them online."""

    total: int
    online: int

    @property
    def offline(self) -> int:
        """The rest."""
        return self.total - self.online


def _online() -> Q:
    return Q(last_seen_at__gte=online_since(now(), settings.DEVICE_POLL_INTERVAL_S))


def devices_summary(*, caller: Caller) -> dict[str, Any]:
    """The fleet in numbers, as in ``docs/api/README.md`` (``devices/summary/``). Three queries.

    Totals count devices in service; ``by_state`` counts all.
    """
    mine = Device.objects.filter(organization_id=caller.organization_id)
    by_state = {row["state"]: row["count"] for row in mine.values("state").annotate(count=Count("pk"))}
    serving = mine.filter(state__in=IN_SERVICE)
    by_site = list(
        serving.values(
            site_name=F("site__name"),
            region_name=F("region__name"),
            latitude=F("site__latitude_deg"),
            longitude=F("site__longitude_deg"),
        )
        .annotate(total=Count("pk"), online=Count("pk", filter=_online()))
        .order_by("region_name", "site_name")
    )
    by_profile = (
        serving.values(profile_name=F("hardware_profile__name"))
        .annotate(total=Count("pk"), online=Count("pk", filter=_online()))
        .order_by("profile_name")
    )
    regions: dict[str | None, DeviceCounts] = {}
    for row in by_site:
        before = regions.get(row["region_name"], DeviceCounts(0, 0))
        regions[row["region_name"]] = DeviceCounts(before.total + row["total"], before.online + row["online"])
    total = DeviceCounts(
        sum(counts.total for counts in regions.values()), sum(counts.online for counts in regions.values())
    )
    return {
        **_counts(total),
        "by_state": by_state,
        "by_region": [{"region": name, **_counts(counts)} for name, counts in regions.items()],
        "by_site": [
            {
                "site": row["site_name"],
                "region": row["region_name"],
                **_counts(DeviceCounts(row["total"], row["online"])),
                "latitude_deg": row["latitude"],
                "longitude_deg": row["longitude"],
            }
            for row in by_site
        ],
        "by_hardware_profile": [
            {"hardware_profile": row["profile_name"], **_counts(DeviceCounts(row["total"], row["online"]))}
            for row in by_profile
        ],
    }


def _counts(counts: DeviceCounts) -> dict[str, int]:
    return {"total": counts.total, "online": counts.online, "offline": counts.offline}


def devices_facets(*, caller: Caller, filters: DeviceFilter) -> dict[str, Any]:
    """How the devices that match ``filters`` spread over each facet. Six queries, however many devices."""
    matching = devices_filter(Device.objects.filter(organization_id=caller.organization_id), filters)
    online = matching.aggregate(count=Count("pk"), online=Count("pk", filter=_online()))
    versions = (
        InstalledModel.objects.filter(device__in=matching)
        .values("model_name", "version")
        .annotate(count=Count("pk"))
        .order_by("model_name", "version")
    )
    return {
        "count": online["count"],
        "state": _facet(matching, "state"),
        "region": _facet(matching, "region__name"),
        "site": _facet(matching, "site__name"),
        "hardware_profile": _facet(matching, "hardware_profile__name"),
        "is_online": [
            {"value": True, "count": online["online"]},
            {"value": False, "count": online["count"] - online["online"]},
        ],
        "version": [{"value": row["version"], "model": row["model_name"], "count": row["count"]} for row in versions],
    }


def _facet(matching: QuerySet[Device], path: str) -> list[dict[str, Any]]:
    rows = matching.values(value=F(path)).annotate(count=Count("pk")).order_by("-count", "value")
    return [{"value": row["value"], "count": row["count"]} for row in rows]
