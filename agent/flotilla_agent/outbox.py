"""Store and forward: telemetry waits on disk until the control plane has acknowledged it.

One file per batch, its sequence number fixed when it is written: ``<stream>/<sequence>-<kind>.mp``. A batch
is sent until it is acknowledged, in order within its stream; the control plane drops what it has already. So
nothing is lost or doubled, whatever dies in between.

The queue is bounded. When it is full the oldest health goes first, then the oldest windows; what goes is
counted. Numbers of dropped batches are never used again.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Literal

import msgspec

from flotilla_agent.files import folder_make, read_or_none, write_atomic
from flotilla_protocol.messages import (
    STREAM_BACKLOG,
    STREAM_HEALTH,
    STREAM_WINDOWS,
    STREAMS,
    Health,
    InferenceReport,
    TelemetryBatch,
    telemetry_encode,
)

log = logging.getLogger(__name__)

Kind = Literal["health", "windows"]
MAX_BYTES = 64_000_000
MAX_FILES = 20_000
_NATURAL_STREAM: dict[Kind, int] = {"health": STREAM_HEALTH, "windows": STREAM_WINDOWS}


class Waiting(msgspec.Struct, frozen=True):
    """A batch on disk."""

    stream: int
    sequence: int
    kind: Kind
    path: Path
    size_bytes: int


class Counters(msgspec.Struct):
    """What the outbox remembers beside its files."""

    last: dict[int, int] = {}  # highest number ever given, per stream
    dropped: int = 0  # batches given up because the queue was full


class Outbox:
    """The queue of one device. Safe for several threads.

    Args:
        folder: where it lives; survives the process.
        max_bytes, max_files: its bounds.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._lock = threading.Lock()
        self._counters_path = folder / "counters.json"
        content = read_or_none(self._counters_path)
        self._counters = Counters() if content is None else msgspec.json.decode(content, type=Counters)
        self._waiting: dict[int, dict[int, Waiting]] = {stream: {} for stream in STREAMS}
        self._bytes = 0
        self._in_flight: tuple[int, int] | None = None
        self.is_uplink_down = False
        self._load()

    def _load(self) -> None:
        for stream in STREAMS:
            folder = folder_make(self._folder / str(stream))
            for path in sorted(folder.glob("*.mp")):
                sequence, _, kind = path.stem.partition("-")
                if kind in _NATURAL_STREAM and sequence.isdecimal():
                    self._remember(
                        Waiting(
                            stream,
                            int(sequence),
                            "health" if kind == "health" else "windows",
                            path,
                            path.stat().st_size,
                        )
                    )
            highest = max(self._waiting[stream], default=0)
            self._counters.last[stream] = max(self._counters.last.get(stream, 0), highest)

    def _remember(self, waiting: Waiting) -> None:
        self._waiting[waiting.stream][waiting.sequence] = waiting
        self._bytes += waiting.size_bytes

    @property
    def dropped(self) -> int:
        """Batches given up so far."""
        return self._counters.dropped

    @property
    def count(self) -> int:
        """Batches waiting."""
        return sum(len(stream) for stream in self._waiting.values())

    def put_health(self, health: Health) -> None:
        """Queue health samples."""
        self._put("health", health=health, windows=[])

    def put_windows(self, windows: list[InferenceReport]) -> None:
        """Queue inference windows."""
        self._put("windows", health=None, windows=windows)

    def _put(self, kind: Kind, *, health: Health | None, windows: list[InferenceReport]) -> None:
        with self._lock:
            stream = STREAM_BACKLOG if self.is_uplink_down else _NATURAL_STREAM[kind]
            sequence = self._counters.last[stream] + 1
            content = telemetry_encode(TelemetryBatch(stream, sequence, health, windows))
            if len(content) > self._max_bytes:
                self._count_drop()
                return
            while self.count >= self._max_files or self._bytes + len(content) > self._max_bytes:
                if not self._drop_oldest():
                    break
            path = self._folder / str(stream) / f"{sequence:020d}-{kind}.mp"
            try:
                write_atomic(path, content)
            except OSError as error:
                # A full disk must not stop inference.
                log.warning("Telemetry cannot be kept: %s", error)
                self._count_drop()
                return
            self._counters.last[stream] = sequence
            self._remember(Waiting(stream, sequence, kind, path, len(content)))

    def _drop_oldest(self) -> bool:
        for kind in ("health", "windows"):
            for stream in (STREAM_BACKLOG, STREAM_HEALTH, STREAM_WINDOWS):
                for sequence, waiting in self._waiting[stream].items():
                    if waiting.kind == kind and (stream, sequence) != self._in_flight:
                        self._count_drop()  # first: makes the highest number given durable
                        self._remove(waiting)
                        return True
        return False

    def _count_drop(self) -> None:
        self._counters.dropped += 1
        self._save_counters()

    def _save_counters(self) -> None:
        try:
            write_atomic(self._counters_path, msgspec.json.encode(self._counters))
        except OSError as error:
            log.warning("The outbox's counters cannot be kept: %s", error)

    def _remove(self, waiting: Waiting) -> None:
        del self._waiting[waiting.stream][waiting.sequence]
        self._bytes -= waiting.size_bytes
        waiting.path.unlink(missing_ok=True)

    def next(self) -> tuple[Waiting, bytes] | None:
        """The batch to send now: the oldest of the first stream that has one; it is not dropped until
        ``done``.

        A file that has become unreadable is given up and counted.
        """
        with self._lock:
            for stream in STREAMS:
                for sequence in sorted(self._waiting[stream]):
                    waiting = self._waiting[stream][sequence]
                    content = read_or_none(waiting.path)
                    if content:
                        self._in_flight = (stream, sequence)
                        return waiting, content
                    self._count_drop()
                    self._remove(waiting)
            return None

    def acknowledged(self, stream: int, sequence: int) -> None:
        """The control plane has committed the stream up to and including this number.

        The highest number is made durable before the files go: a number must never be given twice.
        """
        with self._lock:
            self._in_flight = None
            # Above ours it can be only after an old copy of the state folder came back.
            self._counters.last[stream] = max(self._counters.last[stream], sequence)
            self._save_counters()
            for number in sorted(self._waiting[stream]):
                if number > sequence:
                    break
                self._remove(self._waiting[stream][number])

    def refused(self, waiting: Waiting) -> None:
        """The control plane will never take this batch: give it up, so that those behind it go on."""
        with self._lock:
            self._in_flight = None
            if waiting.sequence in self._waiting[waiting.stream]:
                self._count_drop()
                self._remove(waiting)
