"""The live bus: small changes to every process, and from there to browsers and in-process caches.

Two ways in, both safe anywhere (in a transaction they wait for its commit, and they never block):

- ``publish(...)``: the newest value of something, for browsers; superseded values may never be sent.
- ``notify(channel, payload)``: a message for in-process caches; never superseded.

Two ways out, both on ``hub``, which holds one LISTEN per process:

- ``async with hub.subscription(organization_id, topics) as s: async for frame in s``;
- ``hub.listen(channel, callback, on_gap=...)``.

Messages are hints. A lost connection, a full queue or a slow reader loses some of them, and whoever may have
lost one is told of a gap and refetches. Payloads are ids and small numbers; see ``docs/protocol/live.md``.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from common.bus import Bus, BusDownError, Outlet, PostgresBus
from common.live_hub import GAP_CHANNEL, LIVE_CHANNEL, Change, Frame, Hub, Listener, Subscription

__all__ = [
    "Change",
    "Frame",
    "Hub",
    "Listener",
    "Sender",
    "Subscription",
    "flush",
    "hub",
    "notify",
    "publish",
    "shutdown",
]

logger = logging.getLogger(__name__)

_PENDING_MAX = 20_000  # messages waiting to be sent; beyond it they are dropped and a gap is told
_RETRY_S = (0.1, 0.5, 2.0, 5.0)  # pauses between attempts to reach the bus again
_ENCODER = msgspec.json.Encoder()


class Sender:
    """Collects messages and sends them from one thread, as many per payload as fit.

    Self-clocked: what queued while the last payloads were on their way leaves with the next. A live change
    replaces an unsent one of the same organization, topic, kind and id.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._condition = threading.Condition()
        self._pending: dict[Any, bytes] = {}
        self._number = 0
        self._has_lost = False
        self._is_sending = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def change(self, change: Change) -> None:
        """Queue a live change. Never blocks, never raises for a bus that is away."""
        key = (change.organization_id, change.topic, change.kind, change.id)
        message = _ENCODER.encode((LIVE_CHANNEL, change))
        if len(message) + 2 > self._bus.max_payload_bytes:
            message = _ENCODER.encode((LIVE_CHANNEL, msgspec.structs.replace(change, data={})))
        self._put(key, message)

    def notice(self, channel: str, payload: Any) -> None:
        """Queue a message that nothing supersedes.

        Raises:
            ValueError: the payload is larger than the bus carries; a mistake of the caller.
        """
        message = _ENCODER.encode((channel, payload))
        if len(message) + 2 > self._bus.max_payload_bytes:
            raise ValueError(f"a notification of {len(message)} bytes does not fit the bus; send ids")
        self._put(None, message)

    def _put(self, key: Any, message: bytes) -> None:
        with self._condition:
            if key is None:
                self._number += 1
                key = self._number
            # Taken out first, so that a newer value also takes its place behind what was queued meanwhile.
            self._pending.pop(key, None)
            if len(self._pending) >= _PENDING_MAX:
                self._has_lost = True
                return
            self._pending[key] = message
            if self._thread is None:
                self._stopping = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopping,), name="live-sender", daemon=True
                )
                self._thread.start()
            self._condition.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that is queued now has been sent; False when that took longer than ``timeout_s``."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._pending and not self._is_sending, timeout_s)

    def stop(self, *, flush_s: float = 1.0) -> None:
        """Send what is queued, as far as ``flush_s`` allows, and end the thread. It restarts on use."""
        self.flush(flush_s)
        with self._condition:
            thread, self._thread = self._thread, None
            self._stopping.set()
            self._condition.notify_all()
        if thread is not None:
            thread.join(timeout=10)

    def _run(self, stopping: threading.Event) -> None:
        outlet: Outlet | None = None
        failures = 0
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pending or stopping.is_set())
                if stopping.is_set():
                    break
                batch, self._pending = self._pending, {}
                had_lost, self._has_lost = self._has_lost, False
                self._is_sending = True
            try:
                outlet = outlet or self._bus.outlet()
                outlet.send(self._payloads(batch, had_lost=had_lost))
                failures = 0
            except BusDownError:
                if failures == 0:
                    logger.warning("live bus is away; retrying", exc_info=True)
                if outlet is not None:
                    outlet.close()
                    outlet = None
                self._requeue(batch, had_lost=had_lost)
                pause_s = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                failures += 1
                with self._condition:
                    self._condition.wait_for(stopping.is_set, pause_s)
            finally:
                with self._condition:
                    self._is_sending = False
                    self._condition.notify_all()
        if outlet is not None:
            outlet.close()

    def _requeue(self, batch: dict[Any, bytes], *, had_lost: bool) -> None:
        with self._condition:
            merged = {key: message for key, message in batch.items() if key not in self._pending}
            room = max(0, _PENDING_MAX - len(self._pending))
            self._has_lost = self._has_lost or had_lost or len(merged) > room
            kept = dict(list(merged.items())[len(merged) - room :]) if len(merged) > room else merged
            self._pending = {**kept, **self._pending}

    def _payloads(self, batch: dict[Any, bytes], *, had_lost: bool) -> list[str]:
        messages = list(batch.values())
        if had_lost:
            messages.insert(0, _ENCODER.encode((GAP_CHANNEL, None)))
        payloads: list[str] = []
        group: list[bytes] = []
        size = 2
        for message in messages:
            if group and size + len(message) + 1 > self._bus.max_payload_bytes:
                payloads.append((b"[" + b",".join(group) + b"]").decode())
                group, size = [], 2
            group.append(message)
            size += len(message) + 1
        payloads.append((b"[" + b",".join(group) + b"]").decode())
        return payloads


hub = Hub(PostgresBus())
_sender = Sender(PostgresBus())


def publish(
    *,
    organization_id: int,
    topic: str,
    kind: str,
    id: UUID | str,  # noqa: A002 - the wire's own name
    data: dict[str, Any] | None = None,
) -> None:
    """Tell browsers of the organization about a change, once the current transaction has committed.

    Args:
        organization_id: whose browsers may see it.
        topic: as in ``docs/protocol/live.md``, without the organization.
        kind: what changed, for example ``device.changed``.
        id: the public id of what changed.
        data: small newest values, JSON-able. Dropped when the message would not fit the bus.
    """
    change = Change(organization_id=organization_id, topic=topic, kind=kind, id=str(id), data=data or {})
    _after_commit(lambda: _sender.change(change))


def notify(channel: str, payload: Any) -> None:
    """Tell the ``hub.listen`` callbacks of ``channel`` in every process, once the transaction has committed.

    Args:
        channel: a name shared by sender and listeners, for example ``device_revisions``.
        payload: JSON-able; arrives equal. At most some 7,800 bytes.
    """
    _after_commit(lambda: _sender.notice(channel, payload))


def flush(timeout_s: float = 5.0) -> bool:
    """Wait until everything published so far has left this process. For tests and shutdown."""
    return _sender.flush(timeout_s)


def shutdown() -> None:
    """End the bus threads and their connections; they start again on use. Call it before a database goes."""
    _sender.stop()
    hub.close()


def _after_commit(send: Callable[[], None]) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        connection = transaction.get_connection()
        if connection.in_atomic_block:
            transaction.on_commit(send)
            return
    # On an event loop there is no transaction of the ORM: hot paths publish after their own commit.
    send()


def _renew_after_fork() -> None:
    """A forked worker inherits neither threads nor the right to use the parent's connections."""
    global _sender  # noqa: PLW0603 - process wide by purpose
    hub.forget_after_fork()
    _sender = Sender(PostgresBus())


os.register_at_fork(after_in_child=_renew_after_fork)
atexit.register(shutdown)
