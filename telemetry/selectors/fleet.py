"""Figures of the whole fleet, for the Overview."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection

from governance.types import Caller
from telemetry.types import FleetInference, InferenceFigures

# Per device first: a device's rate is its own, whatever part of the span it reported for.
_BY_DEVICE: Final = """
SELECT d.region_id, d.site_id,
       sum(w.inference_count) AS inferences, sum(w.error_count) AS errors,
       sum(w.inference_count) / nullif(sum(w.window_s), 0) AS rate_s,
       sum(w.latency_ms_p95 * w.inference_count) AS weighted_ms,
       sum(w.inference_count) FILTER (WHERE w.latency_ms_p95 IS NOT NULL) AS weight
FROM telemetry_inferencewindow w JOIN fleet_device d ON d.id = w.device_id
WHERE d.organization_id = %(organization)s AND w.ts >= %(since)s AND w.ts < %(until)s
GROUP BY w.device_id, d.region_id, d.site_id
"""
_FIGURES: Final = f"""
SELECT r.name, s.name, count(*), sum(b.rate_s)::float8,
       (sum(b.errors)::float8 / nullif(sum(b.inferences), 0))::float8,
       (sum(b.weighted_ms) / nullif(sum(b.weight), 0))::float8,
       grouping(r.name) = 1, grouping(s.name) = 1
FROM ({_BY_DEVICE}) b LEFT JOIN fleet_region r ON r.id = b.region_id LEFT JOIN fleet_site s ON s.id = b.site_id
GROUP BY GROUPING SETS ((), (r.name), (r.name, s.name))
"""  # noqa: S608 - both parts are constants
_HISTORY: Final = """
SELECT bucket, sum(rate_s)::float8,
       (sum(errors)::float8 / nullif(sum(inferences), 0))::float8,
       (sum(weighted_ms) / nullif(sum(weight), 0))::float8
FROM (
    SELECT floor(extract(epoch FROM w.ts - %(since)s) / %(step_s)s)::int AS bucket,
           sum(w.inference_count) AS inferences, sum(w.error_count) AS errors,
           sum(w.inference_count) / nullif(sum(w.window_s), 0) AS rate_s,
           sum(w.latency_ms_p95 * w.inference_count) AS weighted_ms,
           sum(w.inference_count) FILTER (WHERE w.latency_ms_p95 IS NOT NULL) AS weight
    FROM telemetry_inferencewindow w JOIN fleet_device d ON d.id = w.device_id
    WHERE d.organization_id = %(organization)s AND w.ts >= %(since)s AND w.ts < %(until)s
    GROUP BY 1, w.device_id
) b GROUP BY bucket ORDER BY bucket
"""


def inference_figures(*, caller: Caller, since: datetime, until: datetime) -> FleetInference:
    """How the caller's fleet infers in ``[since, until)``: in all, by region, by region and site.

    Regions and sites in which no device reported are left out. Devices without a region count in the total only.
    """
    total = InferenceFigures(device_count=0, inference_rate_s=None, error_ratio=None, latency_ms_p95=None)
    by_region: dict[str, InferenceFigures] = {}
    by_site: dict[tuple[str, str], InferenceFigures] = {}
    parameters: dict[str, Any] = {"organization": caller.organization_id, "since": since, "until": until}
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, parameters)
        for region, site, count, rate_s, error_ratio, p95_ms, is_all_regions, is_all_sites in cursor.fetchall():
            figures = InferenceFigures(
                device_count=count, inference_rate_s=rate_s, error_ratio=error_ratio, latency_ms_p95=p95_ms
            )
            if is_all_regions:
                total = figures
            elif is_all_sites and region is not None:
                by_region[region] = figures
            elif region is not None and site is not None:
                by_site[region, site] = figures
    return FleetInference(total=total, by_region=by_region, by_site=by_site)


def inference_history(*, caller: Caller, since: datetime, until: datetime, buckets: int) -> dict[str, list[Any]]:
    """The caller's fleet over time in equal steps; a step in which no device reported is null.

    Returns:
        ``{ts[] (start of the step), inference_rate_s[], error_ratio[], latency_ms_p95[]}``, each ``buckets`` long.
    """
    step = (until - since) / buckets
    parameters: dict[str, Any] = {
        "organization": caller.organization_id,
        "since": since,
        "until": until,
        "step_s": step.total_seconds(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY, parameters)
        rows = {bucket: values for bucket, *values in cursor.fetchall()}
    empty = [None, None, None]
    columns = [rows.get(bucket, empty) for bucket in range(buckets)]
    return {
        "ts": [(since + step * bucket).astimezone(UTC) for bucket in range(buckets)],
        "inference_rate_s": [values[0] for values in columns],
        "error_ratio": [values[1] for values in columns],
        "latency_ms_p95": [values[2] for values in columns],
    }


RECENT = timedelta(minutes=5)
"""How far back "now" reaches for figures."""
