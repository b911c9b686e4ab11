"""From decoded batches to the rows of ``telemetry/hot.py``'s statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import msgspec

from flotilla_protocol.messages import HEALTH_COLUMNS, InferenceReport, TelemetryBatch
from telemetry.hot import POSTGRES_EPOCH_MS
from telemetry.policy.clock import Placement, placement
from telemetry.policy.sketches import sketches_pack

_WINDOW_FIELDS = tuple(name for name in InferenceReport.__struct_fields__ if name not in {"ts_ms", "sketches"})
_Row = tuple[Any, ...]


@dataclass
class Latest:
    """Newest values of one device in a group; times are Unix milliseconds, None where the group has none."""

    health_ms: int | None = None
    health: bytes | None = None
    window_ms: int | None = None
    window: bytes | None = None


@dataclass
class PackedGroup:
    """Rows ready for COPY, and newest values by device number."""

    health: list[_Row] = field(default_factory=list)
    windows: list[_Row] = field(default_factory=list)
    latest: dict[int, Latest] = field(default_factory=dict)
    left_out_rows: int = 0
    shifted_batches: int = 0

    def add(self, device_id: int, batch: TelemetryBatch, *, now_ms: int, oldest_ms: int) -> None:
        """Append a batch's rows; see ``policy/clock.py`` for what happens to odd times."""
        times = [window.ts_ms for window in batch.windows]
        if batch.health is not None:
            times += batch.health.ts_ms
        placed = placement(times, now_ms=now_ms, oldest_ms=oldest_ms)
        if placed.shift_ms:
            self.shifted_batches += 1
        latest = self.latest.setdefault(device_id, Latest())
        if batch.health is not None:
            self._add_health(device_id, batch, placed, latest)
        if batch.windows:
            self._add_windows(device_id, batch.windows, placed, latest)

    def _add_health(self, device_id: int, batch: TelemetryBatch, placed: Placement, latest: Latest) -> None:
        health = batch.health
        assert health is not None
        columns = [getattr(health, name) for name in HEALTH_COLUMNS]
        times: Sequence[int | None] = health.ts_ms
        # As good as every batch: nothing to move or to leave out.
        is_plain = placed.shift_ms == 0 and min(health.ts_ms) >= placed.oldest_ms
        if not is_plain:
            times = [placed.place(ts_ms) for ts_ms in health.ts_ms]
        stamps = [None if ts_ms is None else (ts_ms - POSTGRES_EPOCH_MS) * 1000 for ts_ms in times]
        # Absent columns repeat null for as long as there are times.
        values = (repeat(None) if column is None else column for column in columns)
        rows: Iterator[_Row] = zip(repeat(device_id), stamps, *values, strict=False)
        if is_plain:
            self.health.extend(rows)
        else:
            kept = [row for row in rows if row[1] is not None]
            self.health += kept
            self.left_out_rows += len(times) - len(kept)
        newest = max((ts_ms for ts_ms in times if ts_ms is not None), default=None)
        if newest is not None and newest >= (latest.health_ms or 0):
            at = times.index(newest)
            latest.health_ms = newest
            latest.health = msgspec.json.encode(
                {
                    name: None if column is None else column[at]
                    for name, column in zip(HEALTH_COLUMNS, columns, strict=True)
                }
            )

    def _add_windows(
        self, device_id: int, windows: Sequence[InferenceReport], placed: Placement, latest: Latest
    ) -> None:
        for window in windows:
            ts_ms = placed.place(window.ts_ms)
            if ts_ms is None:
                self.left_out_rows += 1
                continue
            self.windows.append(
                (
                    device_id,
                    (ts_ms - POSTGRES_EPOCH_MS) * 1000,
                    window.window_s,
                    window.model,
                    window.version,
                    window.digest,
                    window.inference_count,
                    window.error_count,
                    window.latency_ms_mean,
                    window.latency_ms_p50,
                    window.latency_ms_p95,
                    window.confidence_mean,
                    window.shadow_count,
                    window.shadow_disagreement_count,
                    window.shadow_latency_ms_mean,
                    sketches_pack(window.sketches),
                )
            )
            if ts_ms >= (latest.window_ms or 0):
                latest.window_ms = ts_ms
                latest.window = msgspec.json.encode({name: getattr(window, name) for name in _WINDOW_FIELDS})
