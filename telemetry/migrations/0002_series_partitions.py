from __future__ import annotations

from typing import ClassVar

from django.db import migrations

# Rows carry the device, which carries the organization. No key and no foreign key: ingest takes each batch once by
# its sequence, devices are never deleted, and either would cost every row a lookup. No default partition: rows in it
# would have to be moved before a new partition can be attached; ingest makes what is missing instead
# (telemetry/services/partitions.py). Columns of 8 bytes first, then 4, then the rest: no padding.
FORWARD = """
CREATE TABLE telemetry_healthsample (
    device_id bigint NOT NULL,
    ts timestamptz NOT NULL,
    cpu_ratio real,
    memory_used_ratio real,
    storage_used_ratio real,
    temperature_c real,
    gpu_ratio real,
    network_rx_bytes_s real,
    network_tx_bytes_s real,
    power_w real,
    uptime_s real,
    load_1m real,
    process_memory_bytes real,
    clock_offset_s real
) PARTITION BY RANGE (ts);
CREATE INDEX telemetry_healthsample_ts ON telemetry_healthsample USING brin (ts) WITH (pages_per_range = 32);

CREATE TABLE telemetry_inferencewindow (
    device_id bigint NOT NULL,
    ts timestamptz NOT NULL,
    window_s real NOT NULL,
    inference_count integer NOT NULL,
    error_count integer NOT NULL,
    latency_ms_mean real,
    latency_ms_p50 real,
    latency_ms_p95 real,
    confidence_mean real,
    shadow_count integer NOT NULL,
    shadow_disagreement_count integer NOT NULL,
    shadow_latency_ms_mean real,
    model_name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    sketches bytea
) PARTITION BY RANGE (ts);
CREATE INDEX telemetry_inferencewindow_ts ON telemetry_inferencewindow USING brin (ts) WITH (pages_per_range = 32);

-- One row per device, rewritten with every batch: room on the page keeps those updates off the index.
ALTER TABLE telemetry_devicelatest SET (fillfactor = 60);
"""
BACKWARD = """
DROP TABLE telemetry_healthsample;
DROP TABLE telemetry_inferencewindow;
ALTER TABLE telemetry_devicelatest RESET (fillfactor);
"""


class Migration(migrations.Migration):
    """The partitioned series."""

    dependencies: ClassVar = [("telemetry", "0001_initial")]
    operations: ClassVar = [migrations.RunSQL(FORWARD, BACKWARD)]
