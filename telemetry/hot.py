"""The SQL of ingest: raw statements on one psycopg connection, each run by a test against the migrated schema.

One transaction per group of batches:

1. ``LOCK_STREAMS`` reads the last sequence of each stream and locks the devices' rows, in order of the device number,
   so that two processes never wait for each other in a circle. Devices without a row get one first (``ADD_STREAMS``).
2. ``COPY_HEALTH`` and ``COPY_WINDOWS`` write the series (``packing.py``).
3. ``ADVANCE_STREAMS`` moves sequences and newest values.

Timestamps travel as microseconds since 2000, which is what PostgreSQL's binary form of ``timestamptz`` is.
"""

from __future__ import annotations

from typing import Final

from flotilla_protocol.messages import HEALTH_COLUMNS

# PostgreSQL counts from 2000-01-01.
POSTGRES_EPOCH_MS: Final = 946_684_800_000

LOCK_STREAMS: Final = """
SELECT l.device_id, d.organization_id, d.public_id::text, l.sequence_0, l.sequence_1, l.sequence_2, l.sequence_3
FROM telemetry_devicelatest l JOIN fleet_device d ON d.id = l.device_id
WHERE l.device_id = ANY(%s::bigint[])
ORDER BY l.device_id
FOR UPDATE OF l
"""
"""Parameters: device numbers, as text."""

ADD_STREAMS: Final = """
INSERT INTO telemetry_devicelatest (device_id, sequence_0, sequence_1, sequence_2, sequence_3)
SELECT d.id, 0, 0, 0, 0 FROM fleet_device d WHERE d.id = ANY(%s::bigint[]) ORDER BY d.id
ON CONFLICT (device_id) DO NOTHING
"""
"""Parameters: device numbers, as text."""

COPY_HEALTH: Final = (
    f"COPY telemetry_healthsample (device_id, ts, {', '.join(HEALTH_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
)
"""Binary: device as int8, microseconds since 2000 as int8, float4."""

COPY_WINDOWS: Final = """
COPY telemetry_inferencewindow (
    device_id, ts, window_s, model_name, version, digest, inference_count, error_count,
    latency_ms_mean, latency_ms_p50, latency_ms_p95, confidence_mean,
    shadow_count, shadow_disagreement_count, shadow_latency_ms_mean, sketches
) FROM STDIN (FORMAT BINARY)
"""
WINDOW_TYPES: Final = (
    *("int8", "int8", "float4", "text", "text", "text", "int4", "int4"),
    *("float4", "float4", "float4", "float4"),
    *("int4", "int4", "float4", "bytea"),
)

ADVANCE_STREAMS: Final = """
UPDATE telemetry_devicelatest l SET
    sequence_0 = greatest(l.sequence_0, u.s0), sequence_1 = greatest(l.sequence_1, u.s1),
    sequence_2 = greatest(l.sequence_2, u.s2), sequence_3 = greatest(l.sequence_3, u.s3),
    health = CASE WHEN u.health_ms >= coalesce(extract(epoch FROM l.health_at) * 1000, 0)
        THEN u.health ELSE l.health END,
    health_at = greatest(l.health_at, to_timestamp(u.health_ms / 1000.0)),
    "window" = CASE WHEN u.window_ms >= coalesce(extract(epoch FROM l.window_at) * 1000, 0)
        THEN u.win ELSE l."window" END,
    window_at = greatest(l.window_at, to_timestamp(u.window_ms / 1000.0))
FROM ROWS FROM (
    unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]),
    jsonb_array_elements(%s::jsonb), jsonb_array_elements(%s::jsonb)
) AS u(device_id, s0, s1, s2, s3, health_ms, window_ms, health, win)
WHERE l.device_id = u.device_id
"""
"""Parameters: device numbers, the four sequences, times of health and window, all as PostgreSQL's text for arrays (the
driver would make a Python call for each number); both values as JSON arrays. One entry per device."""
