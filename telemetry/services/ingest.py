"""Ingest: a self-clocked group commit that acknowledges after the commit.

What arrived while the previous group was being written makes the next group; nothing waits for a clock. There is one
writer per event loop, and one transaction per group. The rules:

- Acknowledged means committed with ``synchronous_commit`` on. A crash before the answer loses nothing that was
  acknowledged, and the repetition that follows is recognised by its sequence.
- The queue is bounded in batches and in bytes; beyond it the answer is 503 and nothing is kept.
- A batch the database refuses fails alone: its group is rolled back and taken again in halves.
- A lost database connection is retried for some seconds. Whether the commit went through does not matter: sequences
  make the second attempt find what the first one left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import psycopg

from common.bridge import bridge
from common.clock import now
from common.errors import DomainError
from common.pool import conninfo
from flotilla_protocol.messages import TelemetryBatch
from telemetry import events, hot, metrics
from telemetry.errors import (
    IngestOverloadedError,
    IngestUnavailableError,
    UnknownDeviceError,
    UnstorableBatchError,
)
from telemetry.packing import Latest, PackedGroup, health_copy
from telemetry.policy.group import GroupPlan, StreamsOfDevice, group_plan
from telemetry.services.partitions import oldest_accepted, series_partitions_ensure
from telemetry.watch import Watch

logger = logging.getLogger(__name__)

QUEUE_BATCHES = 8_192
QUEUE_BYTES = 96_000_000
GROUP_BATCHES = 512  # bounds the time one commit takes, and with it the wait of the next group
RETRY_FOR_S = 8.0
_PAUSE_S = 0.2
_CLOSE_S = 10.0


@dataclass(eq=False, slots=True)
class PendingBatch:
    """A batch on its way into a group. ``error`` is why it was not stored, once ``done``."""

    device_id: int
    organization_id: int
    batch: TelemetryBatch
    size_bytes: int
    done: asyncio.Future[None]
    error: DomainError | None = None

    @property
    def stream(self) -> int:
        """The batch's stream."""
        return self.batch.stream

    @property
    def sequence(self) -> int:
        """The batch's number in its stream."""
        return self.batch.sequence


class IngestWriter:
    """The one writer of an event loop. Opens its connection on first use; ``close`` drains it.

    Args:
        queue_batches: how many batches may wait.
        queue_bytes: how many bytes of batches may wait.
        group_batches: how many batches one transaction takes at most.
        retry_for_s: how long a group is tried again while the database is away.
    """

    def __init__(
        self,
        *,
        queue_batches: int = QUEUE_BATCHES,
        queue_bytes: int = QUEUE_BYTES,
        group_batches: int = GROUP_BATCHES,
        retry_for_s: float = RETRY_FOR_S,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue_batches, self._queue_bytes = queue_batches, queue_bytes
        self._group_batches, self._retry_for_s = group_batches, retry_for_s
        self._groups: deque[list[PendingBatch]] = deque()
        self._waiting_batches = self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._is_closing = False
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._watch = Watch()
        self._watch.open()
        self._task = self._loop.create_task(self._run())

    async def submit(self, *, device_id: int, organization_id: int, batch: TelemetryBatch, size_bytes: int) -> None:
        """Returns when the batch is committed, or was before.

        Args:
            device_id: the device, as its token names it.
            organization_id: whose it is, as its token says; checked again in the transaction.
            batch: decoded and validated.
            size_bytes: its size on the wire, for the queue's bound.

        Raises:
            IngestOverloadedError: the queue is full.
            IngestUnavailableError: the database did not come back in time, or the process is ending.
            UnknownDeviceError: no such device in that organization.
            UnstorableBatchError: the database refuses the batch.
        """
        if self._is_closing:
            raise IngestUnavailableError("This process is ending; another one takes over.")
        is_full = self._waiting_batches >= self._queue_batches or self._waiting_bytes + size_bytes > self._queue_bytes
        # A batch larger than the whole bound still gets in when it is alone.
        if is_full and self._waiting_batches:
            metrics.BATCHES.labels("refused").inc()
            raise IngestOverloadedError("Too many batches are waiting. Nothing was stored; send it again later.")
        if not self._groups or len(self._groups[-1]) >= self._group_batches:
            self._groups.append([])
        # A future each: a client that goes away takes only its own with it, and the batch is stored all the same.
        pending = PendingBatch(device_id, organization_id, batch, size_bytes, self._loop.create_future())
        self._groups[-1].append(pending)
        self._waiting_batches += 1
        self._waiting_bytes += size_bytes
        self._wake.set()
        await pending.done
        if pending.error is not None:
            raise pending.error

    async def close(self) -> None:
        """Commit what waits, for up to 10 s, then end."""
        self._is_closing = True
        self._wake.set()
        _, unfinished = await asyncio.wait([self._task], timeout=_CLOSE_S)
        if unfinished:
            self._task.cancel()
            await asyncio.wait([self._task])
        for group in self._groups:
            self._settle(group, IngestUnavailableError("This process is ending; another one takes over."))
        self._groups.clear()
        self._watch.close()
        await self._disconnect()

    async def _run(self) -> None:
        while True:
            if not self._groups:
                if self._is_closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            group = self._groups.popleft()
            try:
                started = time.perf_counter()
                await self._commit(group)
                metrics.GROUP_SIZE.observe(len(group))
                metrics.COMMIT_DURATION.observe(time.perf_counter() - started)
                self._settle(group)
            except asyncio.CancelledError:
                self._settle(group, IngestUnavailableError("This process is ending; another one takes over."))
                raise
            except Exception:
                # Whatever it is, it must not end the writer: the group is refused, and the next one gets its turn.
                logger.exception("a group of %d batches failed", len(group))
                self._settle(group, IngestUnavailableError("The batch could not be stored; send it again later."))

    def _settle(self, group: list[PendingBatch], error: DomainError | None = None) -> None:
        for pending in group:
            self._waiting_batches -= 1
            self._waiting_bytes -= pending.size_bytes
            pending.error = pending.error or error
            if not pending.done.done():
                pending.done.set_result(None)
        metrics.QUEUE_BATCHES.set(self._waiting_batches)
        metrics.QUEUE_BYTES.set(self._waiting_bytes)

    async def _commit(self, batches: Sequence[PendingBatch], *, may_make_partitions: bool = True) -> None:
        deadline = self._loop.time() + self._retry_for_s
        while True:
            try:
                await self._store(await self._connected(), batches)
            except psycopg.errors.CheckViolation as error:
                # The one check of these tables: no partition for the time.
                if not may_make_partitions:
                    await self._isolate(batches, error)
                    return
                await bridge.run(series_partitions_ensure)
                may_make_partitions = False
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                await self._disconnect()
                if self._loop.time() >= deadline:
                    logger.exception("telemetry cannot be written")
                    for pending in batches:
                        pending.error = IngestUnavailableError("The database is away. Nothing was acknowledged.")
                    return
                logger.warning("telemetry is written again: %s", error)
                await asyncio.sleep(_PAUSE_S)
            except psycopg.Error as error:
                await self._isolate(batches, error)
                return
            else:
                return

    async def _isolate(self, batches: Sequence[PendingBatch], error: psycopg.Error) -> None:
        """Find the batch that fails its group, by halves; the others are committed."""
        if len(batches) == 1:
            logger.warning("device %d: batch refused by the database: %s", batches[0].device_id, error)
            metrics.BATCHES.labels("unstorable").inc()
            batches[0].error = UnstorableBatchError("The database cannot store a value of this batch.")
            return
        middle = len(batches) // 2
        for half in (batches[:middle], batches[middle:]):
            await self._commit(half)

    async def _store(self, connection: psycopg.AsyncConnection[Any], batches: Sequence[PendingBatch]) -> None:
        """One transaction; nothing is told to anybody before its commit."""
        async with connection.transaction(), connection.cursor() as cursor:
            streams = await self._lock(cursor, sorted({pending.device_id for pending in batches}))
            plan = group_plan(batches, streams)
            packed = self._pack(plan)
            if packed.health:
                async with cursor.copy(hot.COPY_HEALTH) as copy:
                    for block in health_copy(packed.health):
                        await copy.write(block)
            if packed.windows:
                async with cursor.copy(hot.COPY_WINDOWS) as copy:
                    copy.set_types(hot.WINDOW_TYPES)
                    for row in packed.windows:
                        await copy.write_row(row)
            if plan.sequences:
                await cursor.execute(hot.ADVANCE_STREAMS, _advance(plan.sequences, packed.latest))
        for pending in plan.unknown:
            pending.error = UnknownDeviceError("There is no such device in this organization.")
        self._count(plan, packed)
        self._tell(streams, packed.latest)

    async def _lock(self, cursor: psycopg.AsyncCursor[Any], device_ids: list[int]) -> dict[int, StreamsOfDevice]:
        for attempt in (1, 2):
            await cursor.execute(hot.LOCK_STREAMS, (_array(device_ids),))
            streams = {
                row[0]: StreamsOfDevice(organization_id=row[1], public_id=row[2], sequences=list(row[3:]))
                for row in await cursor.fetchall()
            }
            if attempt == 1 and len(streams) < len(device_ids):
                await cursor.execute(hot.ADD_STREAMS, (_array(one for one in device_ids if one not in streams),))
            else:
                break
        return streams

    @staticmethod
    def _pack(plan: GroupPlan[PendingBatch]) -> PackedGroup:
        at = now()
        now_ms, oldest_ms = int(at.timestamp() * 1000), int(oldest_accepted(at).timestamp() * 1000)
        packed = PackedGroup()
        for pending in plan.new:
            packed.add(pending.device_id, pending.batch, now_ms=now_ms, oldest_ms=oldest_ms)
        return packed

    @staticmethod
    def _count(plan: GroupPlan[PendingBatch], packed: PackedGroup) -> None:
        metrics.BATCHES.labels("stored").inc(len(plan.new))
        metrics.BATCHES.labels("duplicate").inc(len(plan.known))
        metrics.BATCHES.labels("unknown_device").inc(len(plan.unknown))
        metrics.ROWS.labels("health").inc(packed.health_rows)
        metrics.ROWS.labels("windows").inc(len(packed.windows))
        metrics.ROWS_LEFT_OUT.labels("too_old").inc(packed.left_out_rows)
        metrics.BATCHES_SHIFTED.inc(packed.shifted_batches)

    def _tell(self, streams: dict[int, StreamsOfDevice], latest: dict[int, Latest]) -> None:
        for device_id, values in latest.items():
            if self._watch.has(device_id):
                device = streams[device_id]
                events.publish_device_latest(
                    organization_id=device.organization_id, public_id=device.public_id, latest=values
                )

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                **conninfo(),  # type: ignore[arg-type]
                autocommit=True,
                connect_timeout=5,
                application_name="flotilla-ingest",
            )
            # An installation's default may be off; an acknowledgement here is a promise.
            await self._connection.execute("SET synchronous_commit = on")
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _advance(sequences: dict[int, list[int]], latest: dict[int, Latest]) -> tuple[Any, ...]:
    """The parameters of ``ADVANCE_STREAMS``."""
    device_ids = sorted(sequences)
    values = [latest[device_id] for device_id in device_ids]
    parameters: list[str] = [
        _array(device_ids),
        *(_array(sequences[device_id][stream] for device_id in device_ids) for stream in range(4)),
        _array(one.health_ms for one in values),
        _array(one.window_ms for one in values),
        _json_array(one.health for one in values),
        _json_array(one.window for one in values),
    ]
    return tuple(parameters)


def _array(values: Iterable[int | None]) -> str:
    """PostgreSQL's text for an array of numbers."""
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def _json_array(values: Iterable[bytes | None]) -> str:
    return f"[{b','.join(value or b'null' for value in values).decode()}]"


_writers: WeakKeyDictionary[asyncio.AbstractEventLoop, IngestWriter] = WeakKeyDictionary()


def ingest_writer() -> IngestWriter:
    """The running event loop's writer, made on first use."""
    loop = asyncio.get_running_loop()
    writer = _writers.get(loop)
    if writer is None:
        writer = _writers[loop] = IngestWriter()
    return writer


async def ingest_close() -> None:
    """Drain and end the running loop's writer; at a process's end."""
    writer = _writers.pop(asyncio.get_running_loop(), None)
    if writer is not None:
        await writer.close()
