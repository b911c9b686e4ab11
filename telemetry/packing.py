"""From decoded batches to what ``telemetry/hot.py``'s statements take: COPY's binary form, or rows for it.

Health samples, most of all rows, become bytes by the thousand in numpy. A Python object per row would cost the time of
making it, of a call into the driver, and of a garbage collector that such numbers of young objects keep running.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from flotilla_protocol.messages import HEALTH_COLUMNS, InferenceReport, TelemetryBatch
from telemetry.hot import POSTGRES_EPOCH_MS
from telemetry.policy.clock import Placement, placement
from telemetry.policy.sketches import sketches_pack

_WINDOW_FIELDS = tuple(name for name in InferenceReport.__struct_fields__ if name not in {"ts_ms", "sketches"})
_Row = tuple[Any, ...]
_Column = list[float | None]

_BLOCK_ROWS: Final = 1_000  # some 120 kB: stays in the processor's cache, and goes to the driver in one piece
_COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TAIL: Final = b"\xff\xff"

# A row of COPY_HEALTH: the number of fields, and before each field its size; -1 and no bytes for null.
_CELLS: Final = len(HEALTH_COLUMNS)
_ROW: Final = np.dtype(
    [
        *(("fields", ">i2"), ("device_size", ">i4"), ("device_id", ">i8"), ("ts_size", ">i4"), ("ts", ">i8")),
        ("cells", [("size", ">i4"), ("value", ">f4")], _CELLS),
    ]
)
_EMPTY_ROW: Final = np.zeros(1, _ROW)
_EMPTY_ROW["fields"] = 2 + _CELLS
_EMPTY_ROW["device_size"] = _EMPTY_ROW["ts_size"] = 8
_EMPTY_ROW["cells"]["size"] = 4
# Which bytes of a row are sent.
_KEPT: Final = np.dtype(
    [("head", "?", _ROW.itemsize - 8 * _CELLS), ("cells", [("size", "?", 4), ("value", "?", 4)], _CELLS)]
)
_NOT_MEASURED: Final = [math.nan]


@dataclass(slots=True)
class HealthPart:
    """The health samples of one batch.

    Args:
        device_id: whose.
        ts_ms: when, as they are to be stored; at least one.
        columns: in the order of ``HEALTH_COLUMNS``, each as long as ``ts_ms``; None was not measured.
    """

    device_id: int
    ts_ms: list[int]
    columns: Sequence[_Column | None]


def health_copy(parts: Sequence[HealthPart]) -> Iterator[bytes]:
    """The whole of ``COPY_HEALTH``'s input, in blocks."""
    yield _COPY_HEAD
    block: list[HealthPart] = []
    rows = 0
    for part in parts:
        if rows + len(part.ts_ms) > _BLOCK_ROWS and block:
            yield _health_block(block, rows)
            block, rows = [], 0
        block.append(part)
        rows += len(part.ts_ms)
    if block:
        yield _health_block(block, rows)
    yield _COPY_TAIL


def _health_block(parts: Sequence[HealthPart], row_count: int) -> bytes:
    times: list[int] = []
    for part in parts:
        times += part.ts_ms
    cells: _Column = []
    for column in range(_CELLS):
        for part in parts:
            cells += part.columns[column] or _NOT_MEASURED * len(part.ts_ms)
    # Nulls become NaN, which no batch can carry.
    values = np.array(cells, dtype=np.float64).reshape(_CELLS, row_count).T
    rows = np.repeat(_EMPTY_ROW, row_count)
    rows["device_id"] = np.repeat([part.device_id for part in parts], [len(part.ts_ms) for part in parts])
    rows["ts"] = (np.array(times, dtype=np.int64) - POSTGRES_EPOCH_MS) * 1000
    rows["cells"]["value"] = values
    missing = np.isnan(values)
    if not missing.any():
        return rows.tobytes()
    rows["cells"]["size"][missing] = -1
    kept = np.ones(row_count, _KEPT)
    kept["cells"]["value"] = ~missing[:, :, None]
    return rows.view(np.uint8)[kept.view(np.bool_)].tobytes()


@dataclass
class Latest:
    """Newest values of one device in a group; times are Unix milliseconds, None where the group has none."""

    health_ms: int | None = None
    health: bytes | None = None
    window_ms: int | None = None
    window: bytes | None = None


@dataclass
class PackedGroup:
    """What is ready for COPY, and newest values by device number."""

    health: list[HealthPart] = field(default_factory=list)
    health_rows: int = 0
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
        times = health.ts_ms
        columns: list[_Column | None] = [getattr(health, name) for name in HEALTH_COLUMNS]
        if placed.shift_ms or min(times) < placed.oldest_ms:
            moved = [placed.place(ts_ms) for ts_ms in health.ts_ms]
            kept = [row for row, ts_ms in enumerate(moved) if ts_ms is not None]
            self.left_out_rows += len(moved) - len(kept)
            if not kept:
                return
            times = [ts_ms for ts_ms in moved if ts_ms is not None]
            columns = [None if column is None else [column[row] for row in kept] for column in columns]
        self.health.append(HealthPart(device_id, times, columns))
        self.health_rows += len(times)
        newest = max(times)
        if newest >= (latest.health_ms or 0):
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
