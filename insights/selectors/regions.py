"""Health by region and site: contact, inference and alerts, now and hour by hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fleet.history import ContactHistory
from governance.types import Caller
from insights.policy.severity import contact_severity, hour_state, rank, worst
from telemetry.models import AlertState
from telemetry.selectors import alerts
from telemetry.types import FleetInference, InferenceFigures

HOURS = 24
SITES_SHOWN = 3
_ALERTS_READ = 500
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class RegionAlert:
    """When an alert about a region was open."""

    region: str
    severity: str
    opened_at: datetime
    resolved_at: datetime | None


def region_alerts(*, caller: Caller, since: datetime) -> list[RegionAlert]:
    """Alerts about regions that were open at some time since ``since``. One query."""
    recent = alerts(caller=caller).exclude(state=AlertState.RESOLVED, resolved_at__lt=since)
    return [
        RegionAlert(alert.subject["region"], alert.severity, alert.opened_at, alert.resolved_at)
        for alert in recent.order_by("-id")[:_ALERTS_READ]
        if isinstance(alert.subject.get("region"), str)
    ]


def regions(
    *,
    summary: Mapping[str, Any],
    history: Mapping[tuple[str | None, str | None], ContactHistory],
    figures: FleetInference,
    region_alerts: Iterable[RegionAlert],
    at: datetime,
) -> list[dict[str, Any]]:
    """The Overview's ``regions``, worst first; devices without a region are left out. No query.

    Args:
        summary: ``devices_summary``.
        history: ``contact_history`` with one step per hour, of the last 24.
        figures: inference by region and by site.
        region_alerts: see ``region_alerts``.
        at: now.
    """
    alerts_of: dict[str, list[RegionAlert]] = defaultdict(list)
    for alert in region_alerts:
        alerts_of[alert.region].append(alert)
    sites_of: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for site in summary["by_site"]:
        if site["region"] is not None and site["site"] is not None:
            sites_of[site["region"]].append(site)
    found = []
    for counts in summary["by_region"]:
        name = counts["region"]
        if name is None:
            continue
        by_hour = _sum([contact for (region, _), contact in history.items() if region == name])
        area = _area(counts, by_hour, figures.by_region.get(name), alerts_of[name], at=at)
        sites = [
            {
                "site": site["site"],
                **_area(site, history.get((name, site["site"])), figures.by_site.get((name, site["site"])), [], at=at),
            }
            for site in sites_of[name]
        ]
        sites.sort(key=_badness, reverse=True)
        found.append({"region": name, "site_count": len(sites), **area, "sites": sites[:SITES_SHOWN]})
    found.sort(key=_badness, reverse=True)
    return found


def _area(
    counts: Mapping[str, Any],
    contact: ContactHistory | None,
    figures: InferenceFigures | None,
    area_alerts: list[RegionAlert],
    *,
    at: datetime,
) -> dict[str, Any]:
    open_now = [alert.severity for alert in area_alerts if alert.resolved_at is None]
    return {
        "total": counts["total"],
        "online": counts["online"],
        "offline": counts["offline"],
        "error_ratio": figures.error_ratio if figures else None,
        "latency_ms_p95": figures.latency_ms_p95 if figures else None,
        "severity": worst([contact_severity(total=counts["total"], online=counts["online"]), *open_now]),
        "hours": _hours(contact, area_alerts, at=at),
    }


def _hours(contact: ContactHistory | None, area_alerts: list[RegionAlert], *, at: datetime) -> list[str]:
    if contact is None:
        return ["no_data"] * HOURS
    states = []
    for hour in range(HOURS):
        start = at - _HOUR * (HOURS - hour)
        during = worst(
            alert.severity
            for alert in area_alerts
            if alert.opened_at < start + _HOUR and (alert.resolved_at is None or alert.resolved_at > start)
        )
        states.append(hour_state(total=contact.total[hour], online=contact.online[hour], alert=during))
    return states


def _sum(histories: list[ContactHistory]) -> ContactHistory | None:
    if not histories:
        return None
    return ContactHistory(
        total=tuple(map(sum, zip(*(history.total for history in histories), strict=True))),
        online=tuple(map(sum, zip(*(history.online for history in histories), strict=True))),
    )


def _badness(area: Mapping[str, Any]) -> tuple[int, float, float]:
    offline_ratio = area["offline"] / area["total"] if area["total"] else 0.0
    return rank(area["severity"]), offline_ratio, area["error_ratio"] or 0.0
