"""What the Overview shows, in one answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from common.clock import now
from fleet.history import ContactHistory, contact_history
from fleet.summary import devices_summary
from governance.types import Caller
from insights.selectors.attention import attention
from insights.selectors.jobs import jobs_active_count
from insights.selectors.regions import HOURS, region_alerts, regions
from insights.selectors.targets import proven_history, targets
from rollouts.selectors import rollouts
from telemetry.selectors import alerts_open_counts, inference_figures, inference_history

SPAN = timedelta(hours=24)
POINTS = 96
RECENT = timedelta(minutes=5)
ROLLOUTS_SHOWN = 5
CERTIFICATE_NOTICE = timedelta(days=7)

_COUNTS: Final = """
SELECT (SELECT count(*) FROM models_registry_modelversion
        WHERE organization_id = %(organization)s AND approval = 'requested'),
       (SELECT count(*) FROM rollouts_rollout WHERE organization_id = %(organization)s AND state = 'needs_decision'),
       (SELECT count(*) FROM fleet_device WHERE organization_id = %(organization)s
        AND state IN ('accepted', 'quarantined') AND certificate_expires_at < %(notice)s),
       (SELECT count(*) FROM models_registry_model WHERE organization_id = %(organization)s),
       (SELECT count(*) FROM rollouts_rollout
        WHERE organization_id = %(organization)s AND state = ANY(%(active)s))
"""
_ACTIVE: Final = ["planning", "running", "paused", "needs_decision", "halted", "rolling_back", "cancelling"]


def overview(*, caller: Caller) -> dict[str, Any]:
    """Everything of ``overview/``, as in ``docs/api/README.md``; ``rollouts_in_flight`` as objects.

    A fixed number of queries, however large the fleet.
    """
    at = now()
    since = at - SPAN
    summary = devices_summary(caller=caller)
    quarters = contact_history(caller=caller, since=since, until=at, steps=POINTS)
    recent = inference_figures(caller=caller, since=at - RECENT, until=at)
    aimed = targets(caller=caller)
    every = POINTS // HOURS
    hours = {
        place: ContactHistory(total=contact.total[every - 1 :: every], online=contact.online[every - 1 :: every])
        for place, contact in quarters.items()
    }
    return {
        "devices": summary,
        "figures": {
            "online_ratio": summary["online"] / summary["total"] if summary["total"] else None,
            "proven_ratio": aimed.proven_ratio,
            "proven_count": aimed.proven_count,
            "claimed_count": aimed.claimed_count,
            "target_count": aimed.target_count,
            "inference_rate_s": recent.total.inference_rate_s,
            "error_ratio": recent.total.error_ratio,
            "latency_ms_p95": recent.total.latency_ms_p95,
        },
        "figure_series": _series(caller, quarters, since=since, until=at),
        "regions": regions(
            summary=summary,
            history=hours,
            figures=recent,
            region_alerts=region_alerts(caller=caller, since=since),
            at=at,
        ),
        "attention": attention(caller=caller),
        "rollouts_in_flight": list(rollouts(caller=caller).filter(state__in=_ACTIVE).order_by("-id")[:ROLLOUTS_SHOWN]),
        **_counts(caller, summary, at=at),
    }


def _series(
    caller: Caller, quarters: dict[Any, ContactHistory], *, since: datetime, until: datetime
) -> dict[str, list[Any]]:
    """One point per quarter of an hour, each at the end of its quarter."""
    inference = inference_history(caller=caller, since=since, until=until, buckets=POINTS)
    totals = [sum(contact.total[step] for contact in quarters.values()) for step in range(POINTS)]
    onlines = [sum(contact.online[step] for contact in quarters.values()) for step in range(POINTS)]
    step = (until - since) / POINTS
    return {
        "ts": [since + step * (number + 1) for number in range(POINTS)],
        "online_ratio": [online / total if total else None for online, total in zip(onlines, totals, strict=True)],
        "proven_ratio": proven_history(caller=caller, since=since, until=until, steps=POINTS),
        "inference_rate_s": inference["inference_rate_s"],
        "error_ratio": inference["error_ratio"],
        "latency_ms_p95": inference["latency_ms_p95"],
    }


def _counts(caller: Caller, summary: dict[str, Any], *, at: datetime) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "organization": caller.organization_id,
        "notice": at + CERTIFICATE_NOTICE,
        "active": _ACTIVE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, parameters)
        approvals, decisions, certificates, models, active = cursor.fetchone()
    open_alerts = alerts_open_counts(caller=caller)
    return {
        "waiting": {
            "approvals": approvals,
            "decisions": decisions,
            "devices_pending": summary["by_state"].get("pending", 0),
            "devices_quarantined": summary["by_state"].get("quarantined", 0),
            "certificates_expiring": certificates,
        },
        "counts": {
            "models": models,
            "rollouts_active": active,
            "drift_alerting": open_alerts["drift"],
            "alerts_critical": open_alerts["critical"],
            "alerts_open": open_alerts["open"],
            "jobs_active": jobs_active_count(caller=caller),
        },
    }
