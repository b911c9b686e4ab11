"""Celery's filesystem transport without its races, for the embedded installation.

The transport makes a message's file before it writes and locks it, and empties an exchange's file before it locks it: a
reader in between reads nothing and its worker ends. Here every file appears complete, by ``rename``, and is claimed by
``rename``, so that exactly one reader gets a message. Claimed messages stay in our own folder instead of the shared
temporary one. A message claimed by a worker that is then killed is lost, as before: messages are nudges, work is rows.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

import msgspec
from kombu.transport import TRANSPORT_ALIASES, filesystem

Binding = tuple[str, str, str]  # routing key, pattern, queue


class Channel(filesystem.Channel):
    """Messages are files ``<time>_<id>.<queue>.msg``; an exchange is a file with a list of bindings."""

    @property
    def _folder(self) -> Path:
        return Path(self.data_folder_in)

    # kombu's stubs of the two base classes name this parameter differently.
    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        name = f"{time.monotonic_ns() // 1_000_000:015d}_{uuid4().hex}.{queue}.msg"
        _write_whole(self._folder / name, msgspec.json.encode(payload))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """The oldest message of a queue.

        Raises:
            Empty: there is none.
        """
        ending = f".{queue}.msg"
        for name in sorted(entry.name for entry in os.scandir(self._folder) if entry.name.endswith(ending)):
            # The name up to the first dot is ours: queue names may end alike.
            if name.partition(".")[2] != ending[1:]:
                continue
            claimed = self._folder / f".{uuid4().hex}.claimed"
            try:
                (self._folder / name).rename(claimed)
            except FileNotFoundError:
                continue  # another reader was faster
            content = claimed.read_bytes()
            claimed.unlink()
            return msgspec.json.decode(content)
        raise Empty

    def _table_file(self, exchange: str) -> Path:
        file: Path = self._exchange_file(exchange)  # type: ignore[attr-defined] # kombu's, not in its stubs
        return file

    def get_table(self, exchange: str) -> list[Any]:
        """The bindings of an exchange."""
        try:
            content = self._table_file(exchange).read_bytes()
        except FileNotFoundError:
            return []
        bindings = msgspec.json.decode(content, type=list[Binding])
        return [filesystem.exchange_queue_t(*binding) for binding in bindings]

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None) -> None:
        binding = (routing_key or "", pattern or "", queue or "")

        def add(bindings: list[Binding]) -> list[Binding]:
            return bindings if binding in bindings else [binding, *bindings]

        self._edit_table(exchange, add)

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *_: Any, **__: Any) -> None:
        self._purge(queue)
        binding = (routing_key or "", pattern or "", queue or "")
        self._edit_table(exchange, lambda bindings: [entry for entry in bindings if entry != binding])

    def _edit_table(self, exchange: str, change: Callable[[list[Binding]], list[Binding]]) -> None:
        file = self._table_file(exchange)
        file.parent.mkdir(exist_ok=True)
        with _locked(file.with_suffix(".lock")):
            before = [tuple(binding) for binding in self.get_table(exchange)]
            after = change(before)
            if after != before:
                _write_whole(file, msgspec.json.encode(after))


class Transport(filesystem.Transport):
    """What ``filesystem://`` stands for after :func:`register`."""

    Channel = Channel


def register() -> None:
    """Let ``filesystem://`` mean this transport in this process."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"


def _write_whole(path: Path, content: bytes) -> None:
    unfinished = path.parent / f".{uuid4().hex}.unfinished"
    unfinished.write_bytes(content)
    unfinished.rename(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
