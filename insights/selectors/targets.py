"""Whether devices run what they are meant to run, now and over the last day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from governance.types import Caller

# A released deployment aims its device at a version until the next one of the same model does. Proven deployments have
# arrived, and so have rolled back ones: they are aimed at what ran before.
_AIMED: Final = """
aimed AS (
    SELECT d.state, w.released_at AS from_at,
           CASE d.state WHEN 'proven' THEN d.proven_at WHEN 'rolled_back' THEN d.state_at END AS arrived_at,
           lead(w.released_at) OVER (PARTITION BY d.device_id, v.model_id ORDER BY w.released_at, d.id) AS until_at
    FROM rollouts_deployment d
    JOIN rollouts_rollout r ON r.id = d.rollout_id
    JOIN rollouts_wave w ON w.rollout_id = d.rollout_id AND w.number = d.wave
    JOIN models_registry_modelversion v ON v.id = r.version_id
    JOIN fleet_device f ON f.id = d.device_id
    WHERE r.organization_id = %(organization)s AND w.released_at IS NOT NULL
      AND d.state <> ALL(%(aims_nowhere)s) AND f.state = ANY(%(in_service)s)
)
"""
_NOW: Final = f"""
WITH {_AIMED}
SELECT count(*), count(*) FILTER (WHERE arrived_at IS NOT NULL), count(*) FILTER (WHERE state = 'probation')
FROM aimed WHERE until_at IS NULL
"""  # noqa: S608 - a constant
_HISTORY: Final = f"""
WITH {_AIMED}
SELECT greatest(0, ceil(extract(epoch FROM change.at - %(since)s) / %(step_s)s))::int AS step,
       sum(change.aimed), sum(change.arrived)
FROM aimed, LATERAL (VALUES
    (from_at, 1, 0), (until_at, -1, 0),
    (CASE WHEN until_at IS NULL OR arrived_at < until_at THEN arrived_at END, 0, 1),
    (CASE WHEN arrived_at < until_at THEN until_at END, 0, -1)
) AS change (at, aimed, arrived)
WHERE change.at IS NOT NULL AND change.at <= %(until)s
GROUP BY 1
"""  # noqa: S608 - a constant
_AIMS_NOWHERE: Final = ["planned", "skipped", "cancelling", "cancelled"]
_IN_SERVICE: Final = ["accepted", "quarantined"]


@dataclass(frozen=True)
class Targets:
    """How many devices are meant to run something, have it proven, or claim it. A device counts once per model."""

    target_count: int
    proven_count: int
    claimed_count: int

    @property
    def proven_ratio(self) -> float | None:
        """None when nothing is meant to run anywhere."""
        return self.proven_count / self.target_count if self.target_count else None


def targets(*, caller: Caller) -> Targets:
    """The organization's targets now. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW, _parameters(caller))
        target_count, proven_count, claimed_count = cursor.fetchone()
    return Targets(target_count=target_count, proven_count=proven_count, claimed_count=claimed_count)


def proven_history(*, caller: Caller, since: datetime, until: datetime, steps: int) -> list[float | None]:
    """The proven ratio at ``steps`` equally spaced instants, the last of which is ``until``; one query.

    None where nothing was meant to run yet.
    """
    step_s = (until - since).total_seconds() / steps
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY, _parameters(caller) | {"since": since, "until": until, "step_s": step_s})
        changes = {step: (int(aimed), int(arrived)) for step, aimed, arrived in cursor.fetchall()}
    aimed, arrived = changes.get(0, (0, 0))
    history: list[float | None] = []
    for step in range(1, steps + 1):
        more_aimed, more_arrived = changes.get(step, (0, 0))
        aimed, arrived = aimed + more_aimed, arrived + more_arrived
        history.append(arrived / aimed if aimed else None)
    return history


def _parameters(caller: Caller) -> dict[str, Any]:
    return {"organization": caller.organization_id, "aims_nowhere": _AIMS_NOWHERE, "in_service": _IN_SERVICE}
