"""How many deployments of a rollout are where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

_COUNTS = """
SELECT rollout_id, wave, state, evidence, count(*) FROM rollouts_deployment
WHERE rollout_id = ANY(%s) GROUP BY rollout_id, wave, state, evidence
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
