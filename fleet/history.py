"""How contact with the fleet was, told backwards from now by the events since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from fleet import events
from fleet.selectors import IN_SERVICE
from governance.types import Caller

Place = tuple[str | None, str | None]
"""Names of region and site; None for devices without."""

# Contact as noted by the events, so that both statements speak of the same thing.
_NOW: Final = """
SELECT r.name, s.name, count(*), count(*) FILTER (WHERE d.last_seen_at IS NOT NULL AND d.contact_lost_at IS NULL)
FROM fleet_device d LEFT JOIN fleet_region r ON r.id = d.region_id LEFT JOIN fleet_site s ON s.id = d.site_id
WHERE d.organization_id = %(organization)s AND d.state = ANY(%(in_service)s)
GROUP BY r.name, s.name
"""
_SINCE: Final = """
SELECT r.name, s.name, ceil(extract(epoch FROM e.at - %(since)s) / %(step_s)s)::int, e.kind, count(*)
FROM fleet_deviceevent e JOIN fleet_device d ON d.id = e.device_id
LEFT JOIN fleet_region r ON r.id = d.region_id LEFT JOIN fleet_site s ON s.id = d.site_id
WHERE d.organization_id = %(organization)s AND e.at > %(since)s AND e.at <= %(until)s
  AND e.kind = ANY(%(kinds)s) AND (d.state = ANY(%(in_service)s) OR e.kind = %(decommissioned)s)
GROUP BY 1, 2, 3, 4
"""
# What an event changed: (devices in service, of those online). A device that was taken out of service counts as
# offline before: whether it was online then is not kept.
_CHANGE: Final[Mapping[str, tuple[int, int]]] = {
    events.ENROLLED: (1, 1),
    events.CONTACT_LOST: (0, -1),
    events.CONTACT_BACK: (0, 1),
    events.DECOMMISSIONED: (-1, 0),
}


@dataclass(frozen=True)
class ContactHistory:
    """Devices in service and online at a place, at each instant asked for; oldest first."""

    total: tuple[int, ...]
    online: tuple[int, ...]


def contact_history(*, caller: Caller, since: datetime, until: datetime, steps: int) -> dict[Place, ContactHistory]:
    """Contact per place at ``steps`` equally spaced instants, the last of which is ``until``.

    ``until`` must be now: the present is what the past is told from. Two queries.
    """
    step_s = (until - since).total_seconds() / steps
    parameters: dict[str, Any] = {
        "organization": caller.organization_id,
        "in_service": [state.value for state in IN_SERVICE],
        "since": since,
        "until": until,
        "step_s": step_s,
        "kinds": list(_CHANGE),
        "decommissioned": events.DECOMMISSIONED,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOW, parameters)
        present: dict[Place, tuple[int, int]] = {
            (region, site): (total, online) for region, site, total, online in cursor.fetchall()
        }
        cursor.execute(_SINCE, parameters)
        changes: dict[Place, list[list[int]]] = defaultdict(lambda: [[0, 0] for _ in range(steps + 1)])
        for region, site, step, kind, count in cursor.fetchall():
            total, online = _CHANGE[kind]
            # An event in step k happened after instant k - 1 and not after instant k.
            at = changes[region, site][min(max(step, 1), steps)]
            at[0] += total * count
            at[1] += online * count
    history: dict[Place, ContactHistory] = {}
    for place in present.keys() | changes.keys():
        total, online = present.get(place, (0, 0))
        totals, onlines = [], []
        for step in range(steps, 0, -1):
            totals.append(max(0, total))
            onlines.append(min(max(0, online), max(0, total)))
            total -= changes[place][step][0]
            online -= changes[place][step][1]
        history[place] = ContactHistory(total=tuple(reversed(totals)), online=tuple(reversed(onlines)))
    return history
