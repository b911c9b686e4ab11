"""How many deployments of a rollout are where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from common.clock import now
from rollouts.policy.transitions import DEPLOYMENT_OPEN

_COUNTS = """
SELECT rollout_id, wave, state, evidence, count(*) FROM rollouts_deployment
WHERE rollout_id = ANY(%s) GROUP BY rollout_id, wave, state, evidence
"""

# As the reconciler counts what holds a wave: reachable, not ended, and not overdue with its proof. The first device
# that is so answers the question.
_WAITING = """
SELECT r.id FROM rollouts_rollout r
CROSS JOIN LATERAL (
    SELECT (r.policy #>> '{timeouts,reachable_s}')::float8 AS reachable_s,
        (r.policy ->> 'soak_s')::float8 + (r.policy #>> '{timeouts,proof_s}')::float8 AS proof_s
) p
WHERE r.id = ANY(%(ids)s) AND EXISTS (
    SELECT 1 FROM rollouts_deployment d JOIN fleet_device v ON v.id = d.device_id
    WHERE d.rollout_id = r.id AND d.wave = r.released_wave AND d.state = ANY(%(open)s)
        AND v.last_seen_at >= %(at)s - make_interval(secs => p.reachable_s) AND v.state = 'accepted'
        AND NOT (d.state = 'probation' AND d.state_at < %(at)s - make_interval(secs => p.proof_s))
)
"""


@dataclass
class RolloutCounts:
    """Deployments by state, in all and per wave, and by evidence. Skipped devices are in ``counts`` alone."""

    counts: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    waves: dict[int, Counter[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As ``deployment.counts`` carries them."""
        return {
            "counts": dict(self.counts),
            "evidence": dict(self.evidence),
            "waves": [{"number": number, "counts": dict(counts)} for number, counts in sorted(self.waves.items())],
        }


def rollout_counts(rollout_ids: Sequence[int]) -> dict[int, RolloutCounts]:
    """The counts of each rollout, in one query."""
    result = {rollout_id: RolloutCounts() for rollout_id in rollout_ids}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [list(rollout_ids)])
        for rollout_id, wave, state, evidence, count in cursor.fetchall():
            counts = result[rollout_id]
            counts.counts[state] += count
            if wave:
                counts.waves.setdefault(wave, Counter())[state] += count
            # Proof of what is no longer there (rolled back, failed) is not counted.
            if evidence and state in {"probation", "proven", "restoring"}:
                counts.evidence[evidence] += count
    return result


def rollouts_waiting(rollout_ids: Sequence[int]) -> set[int]:
    """Those of the running rollouts whose released wave still waits for devices, in one query."""
    if not rollout_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"ids": list(rollout_ids), "open": sorted(DEPLOYMENT_OPEN), "at": now()})
        return {number for (number,) in cursor.fetchall()}
