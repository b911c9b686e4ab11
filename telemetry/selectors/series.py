"""Series: downsampled for screens, whole for gates.

Partitions are found by time and, on closed ones, rows by device; every query names both and the organization.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import numpy as np
from django.db import connection
from psycopg import sql

from common.clock import now
from fleet.selectors import device_ref
from flotilla_protocol.messages import HEALTH_COLUMNS
from governance.types import Caller
from telemetry.errors import InvalidSpanError
from telemetry.types import HealthSamples, InferenceWindows

DEFAULT_SPAN = timedelta(hours=1)
DEFAULT_POINTS, MAX_POINTS = 300, 2_000
# A step longer than this many usual ones is shown as a gap and never drawn through.
_GAP_STEPS = 3
_ROWS_MAX = 1_000_000  # of one answer for gates

Series = dict[str, list[Any]]

_HEALTH_SERIES: Final = """
SELECT avg(extract(epoch FROM s.ts))::float8, {columns}
FROM telemetry_healthsample s JOIN fleet_device d ON d.id = s.device_id AND d.organization_id = %(organization)s
WHERE s.device_id = %(device)s AND s.ts >= %(since)s AND s.ts < %(until)s
GROUP BY floor(extract(epoch FROM s.ts - %(since)s) / %(step_s)s) ORDER BY 1
"""
# Means are weighted by the inferences behind them; windows without a value do not weigh.
_WINDOW_SERIES: Final = """
SELECT avg(extract(epoch FROM w.ts))::float8,
       (array_agg(w.model_name ORDER BY w.ts DESC))[1], (array_agg(w.version ORDER BY w.ts DESC))[1],
       sum(w.window_s)::float8, sum(w.inference_count)::bigint, sum(w.error_count)::bigint, {means},
       sum(w.shadow_count)::bigint, sum(w.shadow_disagreement_count)::bigint,
       (sum(w.shadow_latency_ms_mean * w.shadow_count)
           / nullif(sum(w.shadow_count) FILTER (WHERE w.shadow_latency_ms_mean IS NOT NULL), 0))::float8
FROM telemetry_inferencewindow w JOIN fleet_device d ON d.id = w.device_id AND d.organization_id = %(organization)s
WHERE w.device_id = %(device)s AND w.ts >= %(since)s AND w.ts < %(until)s
GROUP BY floor(extract(epoch FROM w.ts - %(since)s) / %(step_s)s) ORDER BY 1
"""
_MEANS: Final = ("latency_ms_mean", "latency_ms_p50", "latency_ms_p95", "confidence_mean")
WINDOW_SERIES_COLUMNS: Final = (
    *("model", "version", "window_s", "inference_count", "error_count"),
    *_MEANS,
    *("shadow_count", "shadow_disagreement_count", "shadow_latency_ms_mean"),
)

_WINDOWS: Final = """
SELECT w.device_id, extract(epoch FROM w.ts)::float8, w.window_s, w.model_name, w.version, w.digest,
       w.inference_count, w.error_count, w.latency_ms_mean, w.latency_ms_p50, w.latency_ms_p95, w.confidence_mean,
       w.shadow_count, w.shadow_disagreement_count, w.shadow_latency_ms_mean
FROM telemetry_inferencewindow w JOIN fleet_device d ON d.id = w.device_id AND d.organization_id = %(organization)s
WHERE w.device_id = ANY(%(devices)s) AND w.ts >= %(since)s AND w.ts < %(until)s
ORDER BY w.device_id, w.ts LIMIT %(limit)s
"""
_SAMPLES: Final = """
SELECT s.device_id, extract(epoch FROM s.ts)::float8, {columns}
FROM telemetry_healthsample s JOIN fleet_device d ON d.id = s.device_id AND d.organization_id = %(organization)s
WHERE s.device_id = ANY(%(devices)s) AND s.ts >= %(since)s AND s.ts < %(until)s
ORDER BY s.device_id, s.ts LIMIT %(limit)s
"""


def _rows(statement: str | sql.Composed, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        text = statement if isinstance(statement, str) else statement.as_string(None)
        cursor.execute(text, parameters)
        return list(cursor.fetchall())


def health_series(
    *, caller: Caller, device_id: UUID, since: datetime | None, until: datetime | None, points: int | None
) -> Series:
    """A device's health by column, at most ``points`` means and the gaps between them.

    Returns:
        ``{"ts": [RFC 3339], <column of docs/protocol/device.md>: [...]}``; an entry of nulls stands in every gap longer
        than three usual steps, so that nothing is drawn through it.

    Raises:
        DeviceNotFoundError: no such device in the caller's organization.
        InvalidSpanError: the span is empty or ``points`` is not 1 to 2,000.
    """
    columns = sql.SQL(", ").join(
        sql.SQL("avg({})::float8").format(sql.Identifier("s", name)) for name in HEALTH_COLUMNS
    )
    span = _span(caller=caller, device_id=device_id, since=since, until=until, points=points)
    rows = _rows(sql.SQL(_HEALTH_SERIES).format(columns=columns), span)
    return _with_gaps(rows, HEALTH_COLUMNS)


def window_series(
    *, caller: Caller, device_id: UUID, since: datetime | None, until: datetime | None, points: int | None
) -> Series:
    """A device's inference windows by column, merged into at most ``points``; see ``health_series``.

    Counts and ``window_s`` are sums over the merged windows, latencies and confidence means weighted by inferences
    (for the quantiles an approximation), model and version those of the newest.
    """
    means = sql.SQL(", ").join(
        sql.SQL(
            "(sum({0} * w.inference_count) / nullif(sum(w.inference_count) FILTER (WHERE {0} IS NOT NULL), 0))::float8"
        ).format(sql.Identifier("w", name))
        for name in _MEANS
    )
    span = _span(caller=caller, device_id=device_id, since=since, until=until, points=points)
    rows = _rows(sql.SQL(_WINDOW_SERIES).format(means=means), span)
    return _with_gaps(rows, WINDOW_SERIES_COLUMNS)


def _span(
    *, caller: Caller, device_id: UUID, since: datetime | None, until: datetime | None, points: int | None
) -> dict[str, Any]:
    """The statements' parameters, checked."""
    device = device_ref(caller=caller, device_id=device_id)
    until = until or now()
    since = since or until - DEFAULT_SPAN
    points = DEFAULT_POINTS if points is None else points
    if since >= until:
        raise InvalidSpanError("The span is empty.", fields={"since": "Must lie before until."})
    if not 1 <= points <= MAX_POINTS:
        raise InvalidSpanError("The number of points is out of range.", fields={"points": f"1 to {MAX_POINTS}."})
    return {
        "organization": caller.organization_id,
        "device": device.id,
        "since": since,
        "until": until,
        "step_s": (until - since).total_seconds() / points,
    }


def _with_gaps(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> Series:
    times = [row[0] for row in rows]
    steps = np.diff(np.array(times, dtype=np.float64))
    usual_s = float(np.median(steps)) if steps.size else 0.0
    filled: list[tuple[Any, ...]] = []
    for index, row in enumerate(rows):
        if index and usual_s > 0 and times[index] - times[index - 1] > _GAP_STEPS * usual_s:
            filled.append((times[index - 1] + usual_s, *(None for _ in names)))
        filled.append(row)
    series: Series = {"ts": [datetime.fromtimestamp(row[0], tz=UTC) for row in filled]}
    for position, name in enumerate(names, start=1):
        series[name] = [row[position] for row in filled]
    return series


def inference_windows(
    *, organization_id: int, device_ids: Collection[int], since: datetime, until: datetime
) -> InferenceWindows:
    """All inference windows of some devices that ended in ``[since, until)``, for gates.

    Args:
        organization_id: whose; devices of another organization are left out.
        device_ids: device numbers.
        since: from.
        until: to, exclusive.

    Raises:
        InvalidSpanError: more than a million windows; ask for fewer devices or less time.
    """
    rows = _device_set_rows(_WINDOWS, organization_id, device_ids, since, until)
    kinds: tuple[Any, ...] = (np.int64, *(np.float64,) * 2, *(np.str_,) * 3, *(np.int64,) * 2)
    kinds += (*(np.float64,) * 4, *(np.int64,) * 2, np.float64)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(kinds)
    return InferenceWindows(*(_array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


def health_samples(
    *, organization_id: int, device_ids: Collection[int], since: datetime, until: datetime, columns: Sequence[str]
) -> HealthSamples:
    """All health samples of some devices in ``[since, until)``, for gates.

    Args:
        organization_id: whose; devices of another organization are left out.
        device_ids: device numbers.
        since: from.
        until: to, exclusive.
        columns: which of ``flotilla_protocol.messages.HEALTH_COLUMNS``.

    Raises:
        InvalidSpanError: more than a million samples, or a column that does not exist.
    """
    if unknown := set(columns) - set(HEALTH_COLUMNS):
        raise InvalidSpanError(f"There is no health column {', '.join(sorted(unknown))}.")
    names = sql.SQL(", ").join(sql.Identifier("s", name) for name in columns)
    rows = _device_set_rows(sql.SQL(_SAMPLES).format(columns=names), organization_id, device_ids, since, until)
    values: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * (2 + len(columns))
    return HealthSamples(
        device_id=_array(values[0], np.int64),
        ts_s=_array(values[1], np.float64),
        columns={name: _array(column, np.float64) for name, column in zip(columns, values[2:], strict=True)},
    )


def _device_set_rows(
    statement: str | sql.Composed, organization_id: int, device_ids: Collection[int], since: datetime, until: datetime
) -> list[tuple[Any, ...]]:
    rows = _rows(
        statement,
        {
            "organization": organization_id,
            "devices": list(device_ids),
            "since": since,
            "until": until,
            "limit": _ROWS_MAX + 1,
        },
    )
    if len(rows) > _ROWS_MAX:
        raise InvalidSpanError(f"More than {_ROWS_MAX:,} rows; ask for fewer devices or less time.")
    return rows


def _array(column: Sequence[Any], kind: Any) -> Any:
    """None becomes NaN in float columns; the others have none."""
    return np.array(column, dtype=kind)
