"""Prometheus figures of ingest; ``/metrics`` shows them per process."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BATCHES = Counter("flotilla_ingest_batches_total", "Telemetry batches by outcome", ["outcome"])
ROWS = Counter("flotilla_ingest_rows_total", "Telemetry rows committed", ["series"])
ROWS_LEFT_OUT = Counter("flotilla_ingest_rows_left_out_total", "Telemetry rows acknowledged and not stored", ["reason"])
BATCHES_SHIFTED = Counter("flotilla_ingest_batches_shifted_total", "Batches whose device clock was ahead")
GROUP_SIZE = Histogram(
    "flotilla_ingest_group_batches", "Batches per commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
)
COMMIT_DURATION = Histogram(
    "flotilla_ingest_commit_duration_seconds",
    "Time from taking a group to its commit",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
QUEUE_BATCHES = Gauge("flotilla_ingest_queue_batches", "Batches waiting for a commit")
QUEUE_BYTES = Gauge("flotilla_ingest_queue_bytes", "Bytes of the batches waiting for a commit")
