"""One LISTEN per process and its fan-out: bounded queues for browsers, callbacks for in-process caches.

A thread receives and sorts; each event loop gets at most one wake-up per batch, however many browsers it
serves. Every reader has a bounded place of its own for unread changes, so a stalled browser costs the others
nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from common.bus import Bus, BusDownError

logger = logging.getLogger(__name__)

LIVE_CHANNEL = "live"
GAP_CHANNEL = "gap"  # a sender had to drop messages: everybody refetches

FRAME_INTERVAL_S = 0.05  # 20 frames per second and reader
_UNREAD_MAX = 1_000  # distinct (topic, kind, id) a reader may leave unread before it gets a gap instead
_INBOX_MAX = 20_000  # changes waiting for an event loop that is busy
ENTER_S = 5.0  # a new reader waits this long for a bus that is not being heard yet
_RECEIVE_S = 0.5
_ODD_LOG_S = 60.0
_RETRY_S = (0.1, 0.5, 2.0, 5.0)


class Change(msgspec.Struct, frozen=True, array_like=True):
    """The newest value of one thing: what ``(topic, kind, id)`` is now."""

    organization_id: int
    topic: str
    kind: str
    id: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Frame:
    """What a reader gets at once. ``is_gap``: some changes were lost before these; refetch."""

    changes: tuple[Change, ...]
    is_gap: bool = False


class Subscription:
    """One reader of some topics of one organization; lives on the event loop it was made on.

    Iterate it for ``Frame`` values, at most 20 per second: the first change comes at once, those within the
    next 50 ms come together. A change replaces an unread one with the same topic, kind and id.
    """

    def __init__(self, organization_id: int, room: _Room) -> None:
        self.organization_id = organization_id
        self.topics: frozenset[str] = frozenset()
        self._room = room
        self._unread: dict[tuple[str, str, str], Change] = {}
        self._is_gap = False
        self._wake = asyncio.Event()
        self._next_at = 0.0

    def add(self, topics: Iterable[str]) -> None:
        """Follow more topics. Only on the subscription's own event loop."""
        for topic in frozenset(topics) - self.topics:
            self._room.topics.setdefault((self.organization_id, topic), set()).add(self)
            self.topics |= {topic}

    def discard(self, topics: Iterable[str]) -> None:
        """Follow these topics no longer."""
        for topic in frozenset(topics) & self.topics:
            key = (self.organization_id, topic)
            readers = self._room.topics[key]
            readers.discard(self)
            if not readers:
                del self._room.topics[key]
            self.topics -= {topic}

    def offer(self, change: Change) -> None:
        """Put a change into the room for unread ones; called by the hub on the event loop."""
        key = (change.topic, change.kind, change.id)
        self._unread.pop(key, None)
        if len(self._unread) >= _UNREAD_MAX:
            self._unread.clear()
            self._is_gap = True
        self._unread[key] = change
        self._wake.set()

    def offer_gap(self) -> None:
        """Say that changes were lost; what is unread is moot, since the reader refetches."""
        self._unread.clear()
        self._is_gap = True
        self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Frame:
        await self._wake.wait()
        loop = asyncio.get_running_loop()
        pause_s = self._next_at - loop.time()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        self._next_at = loop.time() + FRAME_INTERVAL_S
        frame = Frame(tuple(self._unread.values()), self._is_gap)
        self._unread.clear()
        self._is_gap = False
        self._wake.clear()
        return frame


@dataclass
class Listener:
    """A callback for one channel; ``close()`` ends it."""

    channel: str
    callback: Callable[[Any], None]
    on_gap: Callable[[], None] | None
    loop: asyncio.AbstractEventLoop | None
    hub: Hub
    is_closed: bool = False

    def close(self) -> None:
        """No callback starts after this returns on the listener's own loop."""
        self.is_closed = True
        self.hub.forget(self)

    def call(self, function: Callable[..., None] | None, *arguments: Any) -> None:
        """Run the callback where it belongs: on its loop, or here when it was registered without one."""
        if function is None:
            return
        if self.loop is None:
            self._guarded(function, *arguments)
        else:
            with suppress(RuntimeError):  # the loop has been closed
                self.loop.call_soon_threadsafe(self._guarded, function, *arguments)

    def _guarded(self, function: Callable[..., None], *arguments: Any) -> None:
        if self.is_closed:
            return
        try:
            function(*arguments)
        except Exception:  # a listener's mistake must not deafen the process
            logger.exception("live callback failed", extra={"channel": self.channel})


@dataclass
class _Room:
    """All readers of one event loop."""

    loop: asyncio.AbstractEventLoop
    topics: dict[tuple[int, str], set[Subscription]] = field(default_factory=dict)
    readers: set[Subscription] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    inbox: list[Change] = field(default_factory=list)
    is_gap: bool = False
    is_posted: bool = False

    def post(self, changes: list[Change], *, is_gap: bool = False) -> bool:
        """From the hub's thread: leave changes and wake the loop once. False when the loop is closed."""
        with self.lock:
            self.is_gap = self.is_gap or is_gap
            self.inbox += changes
            if len(self.inbox) > _INBOX_MAX:
                self.inbox.clear()
                self.is_gap = True
            if self.is_posted:
                return True
            self.is_posted = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            return False
        return True

    def _deliver(self) -> None:
        with self.lock:
            changes, self.inbox = self.inbox, []
            is_gap, self.is_gap, self.is_posted = self.is_gap, False, False
        if is_gap:
            for reader in self.readers:
                reader.offer_gap()
        for change in changes:
            for reader in self.topics.get((change.organization_id, change.topic), ()):
                reader.offer(change)


class Hub:
    """The process's one ear on the bus. Its thread starts with the first reader and ends with ``close()``."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._rooms: dict[asyncio.AbstractEventLoop, _Room] = {}
        self._listeners: list[Listener] = []
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._decoder = msgspec.json.Decoder(list[tuple[str, msgspec.Raw]])
        self._change_decoder = msgspec.json.Decoder(Change)
        self._odd_count, self._odd_again_at = 0, 0.0

    @asynccontextmanager
    async def subscription(self, organization_id: int, topics: Iterable[str] = ()) -> AsyncIterator[Subscription]:
        """A reader of the organization's topics.

        Within the block every change published after it was entered arrives, or a gap is told. Waits up to
        5 s for the bus; when that is away, the block is entered and a gap follows as soon as it is back.
        """
        loop = asyncio.get_running_loop()
        self._start()
        if not self._ready.is_set():
            await asyncio.to_thread(self._ready.wait, ENTER_S)
        with self._lock:
            for closed in [other for other in self._rooms if other.is_closed()]:
                del self._rooms[closed]
            room = self._rooms.setdefault(loop, _Room(loop))
        subscription = Subscription(organization_id, room)
        room.readers.add(subscription)
        try:
            subscription.add(topics)
            yield subscription
        finally:
            subscription.discard(subscription.topics)
            room.readers.discard(subscription)

    def listen(
        self, channel: str, callback: Callable[[Any], None], *, on_gap: Callable[[], None] | None = None
    ) -> Listener:
        """Call ``callback(payload)`` for every ``notify(channel, payload)`` of any process, ours included.

        With a running event loop the callbacks run on it; without, on the hub's thread, and must be quick and
        thread-safe. ``on_gap()`` says that messages may have been lost (a reconnect): refresh what depends on
        them. It is also called once when the first connection stands, since nothing before it was heard.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        listener = Listener(channel=channel, callback=callback, on_gap=on_gap, loop=loop, hub=self)
        with self._lock:
            self._listeners.append(listener)
            was_ready = self._ready.is_set()
        self._start()
        if was_ready:
            listener.call(on_gap)
        return listener

    def forget(self, listener: Listener) -> None:
        """Drop a listener; ``Listener.close`` calls it."""
        with self._lock, suppress(ValueError):
            self._listeners.remove(listener)

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the bus is being heard; for tests and readiness."""
        return self._ready.wait(timeout_s)

    async def start(self) -> None:
        """Hear the bus before the first reader comes; at a process's start. A bus that is away is retried."""
        self._start()
        await asyncio.to_thread(self._ready.wait, ENTER_S)

    async def stop(self) -> None:
        """``close`` without blocking the event loop; at a process's end."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """End the thread and its connection. Readers and listeners are served again after the next use."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopping.set()
        if thread is not None:
            thread.join(timeout=10)

    def forget_after_fork(self) -> None:
        """In a forked child: the parent's thread, connection and readers are not ours."""
        self._reset()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._stopping = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(self._stopping,), name="live-hub", daemon=True)
                self._thread.start()

    def _run(self, stopping: threading.Event) -> None:
        failures = 0
        while not stopping.is_set():
            try:
                inlet = self._bus.inlet()
            except BusDownError:
                if failures == 0:
                    logger.warning("live bus cannot be heard; retrying", exc_info=True)
                stopping.wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
                continue
            failures = 0
            # Whoever read before this connection stood may have missed something.
            self._tell_gap()
            self._ready.set()
            try:
                while not stopping.is_set():
                    self._dispatch(inlet.receive(_RECEIVE_S))
            except BusDownError:
                logger.warning("live bus was lost; reconnecting", exc_info=True)
            finally:
                self._ready.clear()
                inlet.close()

    def _dispatch(self, payloads: list[str]) -> None:
        changes: list[Change] = []
        for payload in payloads:
            try:
                messages = self._decoder.decode(payload)
            except msgspec.DecodeError:
                self._not_understood()
                continue
            for channel, body in messages:
                try:
                    if channel == LIVE_CHANNEL:
                        changes.append(self._change_decoder.decode(body))
                    elif channel == GAP_CHANNEL:
                        self._tell_gap()
                    else:
                        self._tell_listeners(channel, body)
                except msgspec.DecodeError:
                    self._not_understood()
        if changes:
            self._post(changes)

    def _not_understood(self) -> None:
        """Count it, and log at most once a minute.

        Only a session of the same database can send here: a newer release beside this one, say. It must neither stop
        what came with it nor fill the log.
        """
        self._odd_count += 1
        if time.monotonic() >= self._odd_again_at:
            logger.warning("live messages not understood: %d", self._odd_count)
            self._odd_count, self._odd_again_at = 0, time.monotonic() + _ODD_LOG_S

    def _tell_listeners(self, channel: str, body: msgspec.Raw) -> None:
        with self._lock:
            listeners = [listener for listener in self._listeners if listener.channel == channel]
        if listeners:
            payload = msgspec.json.decode(body)
            for listener in listeners:
                listener.call(listener.callback, payload)

    def _tell_gap(self) -> None:
        self._post([], is_gap=True)
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.call(listener.on_gap)

    def _post(self, changes: list[Change], *, is_gap: bool = False) -> None:
        with self._lock:
            rooms = list(self._rooms.values())
        for room in rooms:
            wanted = [change for change in changes if (change.organization_id, change.topic) in room.topics]
            if (wanted or is_gap) and not room.post(wanted, is_gap=is_gap):
                with self._lock:
                    self._rooms.pop(room.loop, None)
