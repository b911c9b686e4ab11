"""What needs a person, and what changed before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.db.models import Q

from common.clock import now
from governance.types import Caller
from insights.policy.severity import rank
from telemetry.models import AlertState
from telemetry.selectors import alerts

SHOWN = 10
_LOOK_BACK = timedelta(hours=24)
_CHANGES_READ = 200
_SECONDS_PER_MINUTE, _MINUTES_PER_HOUR = 60, 60

_STOPPED: Final = """
SELECT r.public_id, r.name, r.state, r.halt_reason->>'text', m.name, v.version,
       (SELECT max(e.at) FROM rollouts_rolloutevent e WHERE e.rollout_id = r.id)
FROM rollouts_rollout r JOIN models_registry_modelversion v ON v.id = r.version_id
JOIN models_registry_model m ON m.id = v.model_id
WHERE r.organization_id = %s AND r.state IN ('halted', 'rolling_back', 'needs_decision')
ORDER BY r.id DESC LIMIT %s
"""
_RELEASES: Final = """
SELECT w.released_at, m.name, v.version, w.number, w.name
FROM rollouts_wave w JOIN rollouts_rollout r ON r.id = w.rollout_id
JOIN models_registry_modelversion v ON v.id = r.version_id JOIN models_registry_model m ON m.id = v.model_id
WHERE r.organization_id = %s AND w.released_at >= %s
ORDER BY w.released_at DESC LIMIT %s
"""


@dataclass(frozen=True)
class Release:
    """A wave that was released: the change most worth knowing of before an alert."""

    at: datetime
    model: str
    version: str
    number: int
    name: str


def attention(*, caller: Caller) -> list[dict[str, Any]]:
    """Open alerts that are not silenced, and rollouts that are stopped: worst first, then newest; at most ten.

    Each ``{kind, id, severity, title, text, since, before}``. Three queries.
    """
    at = now()
    is_loud = Q(silenced_until=None) | Q(silenced_until__lte=at)
    open_alerts = list(
        alerts(caller=caller).filter(is_loud, state=AlertState.OPEN).order_by("severity", "-opened_at")[:SHOWN]
    )
    oldest = min((alert.opened_at for alert in open_alerts), default=at)
    releases = _releases(caller, since=oldest - _LOOK_BACK) if open_alerts else []
    items: list[dict[str, Any]] = [
        {
            "kind": "alert",
            "id": str(alert.public_id),
            "severity": alert.severity,
            "title": alert.title,
            "text": alert.text,
            "since": alert.opened_at,
            "before": _before(releases, at=alert.opened_at, model=alert.subject.get("model")),
        }
        for alert in open_alerts
    ]
    items += _stopped(caller)
    items.sort(key=lambda item: item["since"], reverse=True)
    items.sort(key=lambda item: rank(item["severity"]), reverse=True)
    return items[:SHOWN]


def _stopped(caller: Caller) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_STOPPED, [caller.organization_id, SHOWN])
        rows = cursor.fetchall()
    items = []
    for public_id, name, state, reason, model, version, since in rows:
        title, text = _STOPPED_TEXTS[state]
        items.append(
            {
                "kind": "rollout",
                "id": str(public_id),
                "severity": "warning" if state == "needs_decision" else "critical",
                "title": title.format(model=model, version=version),
                "text": f"{name}: {reason or text}",
                "since": since or now(),
                "before": None,
            }
        )
    return items


_STOPPED_TEXTS: Final = {
    "halted": ("{model} {version} was halted", "The rollout is stopped; nothing more is released."),
    "rolling_back": ("{model} {version} is rolled back", "Devices return to what they ran before."),
    "needs_decision": ("{model} {version} needs a decision", "The evidence did not suffice in time."),
}


def _releases(caller: Caller, *, since: datetime) -> list[Release]:
    with connection.cursor() as cursor:
        cursor.execute(_RELEASES, [caller.organization_id, since, _CHANGES_READ])
        return [Release(*row) for row in cursor.fetchall()]


def _before(releases: list[Release], *, at: datetime, model: str | None) -> str | None:
    """The newest release of the alert's model (of any, when it names none) in the day before it."""
    for release in releases:
        if at - _LOOK_BACK <= release.at <= at and model in {None, release.model}:
            wave = release.name or f"wave {release.number}"
            return f"{release.model} {release.version}, {wave}, was released {_ago(at - release.at)} before."
    return None


def _ago(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // _SECONDS_PER_MINUTE
    if minutes < 1:
        return "less than a minute"
    if minutes < _MINUTES_PER_HOUR:
        return f"{minutes} min"
    return f"{minutes // _MINUTES_PER_HOUR} h {minutes % _MINUTES_PER_HOUR} min"
