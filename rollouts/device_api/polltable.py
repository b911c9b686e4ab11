"""The answers to unchanged polls, in memory.

Per device: its revision, the link it would be shown, and the waves its deployments wait for; per rollout: the wave it
offers. An answer's ``ETag`` is made of the revision and of whether the wave is out, so releasing a wave is one notice
and no lookup. What is not in the table is looked up for all waiting polls at once. Notices keep the table true; a sweep
finds within a minute or so what a lost notice would have said.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import psycopg
from django.conf import settings
from psycopg_pool import PoolTimeout

from common.errors import UnavailableError
from common.live import Listener, hub
from fleet.events import CHANNEL_REVISIONS
from fleet.types import DeviceCaller
from rollouts import hot
from rollouts.events import CHANNEL_PLANNED, CHANNEL_RELEASED
from rollouts.services.actions import base_href, deployment_href, payload_revision

logger = logging.getLogger(__name__)

_SIZE_MAX: Final = 500_000  # devices; some 700 bytes each
_SWEEP_DEVICES: Final = 2_000  # per second
_SWEEP_RELEASED_S: Final = 5.0
_STORAGE_PAUSE_S: Final = 30.0
_LOOKUP_MAX: Final = 2_000  # devices per query


@dataclass(frozen=True, slots=True)
class Answer:
    """A root resource, ready to send."""

    etag: bytes
    body: bytes


@dataclass(slots=True)
class Entry:
    """What one device is told.

    Args:
        revision: of the device, when read.
        epoch: of the organization's plans, when the lookup began.
        quiet: the answer without an action.
        shown: the answer with the open action, if there is one.
        waits_for: rollout and wave ``shown`` is visible for; None: always.
        is_install: ``shown`` asks for a download.
        due: rollouts and waves of deployments that may get an action.
    """

    organization_id: int
    revision: int
    epoch: int
    quiet: Answer
    shown: Answer | None
    waits_for: tuple[int, int] | None
    is_install: bool
    due: tuple[tuple[int, int], ...]


class PollTable:
    """One per process; used from one event loop at a time."""

    def __init__(self, size: int = _SIZE_MAX) -> None:
        self._size = size
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._storage_down_until = 0.0
        self._forget()

    def _forget(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._released: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._wanted: dict[int, tuple[DeviceCaller, asyncio.Future[Entry | None]]] = {}
        # Revisions heard of while a lookup was under way: what it read may be older.
        self._heard: dict[int, int] = {}
        self._sweep_from = 0

    # --- Asking -----------------------------------------------------------------------------------
    def find(self, device_id: int) -> Entry | None:
        """The device's entry, if it is known and true as far as notices say."""
        self._keep_informed()
        entry = self._entries.get(device_id)
        if entry is not None and entry.epoch != self._epochs.get(entry.organization_id, 0):
            return None
        return entry

    async def look_up(self, caller: DeviceCaller) -> Entry | None:
        """The device's entry from the database; polls that wait at the same time share one query.

        Raises:
            UnavailableError: the database does not answer.
        """
        self._keep_informed()
        waiting = self._wanted.get(caller.device_id)
        if waiting is None:
            waiting = (caller, asyncio.get_running_loop().create_future())
            self._wanted[caller.device_id] = waiting
            if len(self._wanted) == 1:
                self._spawn(self._look_up_wanted())
        return await asyncio.shield(waiting[1])

    def answer(self, entry: Entry) -> Answer | None:
        """What to tell; None when an action is due and must be made first."""
        if entry.shown is not None and self._is_out(entry.waits_for):
            if entry.waits_for is not None and any(wave == 0 for _, wave in entry.due):
                return None  # a restore goes before an install that was not fetched yet
            if entry.is_install and time.monotonic() < self._storage_down_until:
                return entry.quiet
            return entry.shown
        if any(self._is_out(pair) for pair in entry.due):
            return None
        return entry.quiet

    def stop(self) -> None:
        """End the sweep and the listening; both start again with the next poll. On the table's own loop."""
        for listener in self._listeners:
            listener.close()
        for task in self._tasks:
            task.cancel()
        self._loop, self._listeners, self._tasks = None, [], []

    def storage_failed(self) -> None:
        """Show no downloads for half a minute: clients that meet a failing download try it without end."""
        self._storage_down_until = time.monotonic() + _STORAGE_PAUSE_S

    def storage_works(self) -> None:
        """A download was begun: the stores answer again."""
        self._storage_down_until = 0.0

    def _is_out(self, pair: tuple[int, int] | None) -> bool:
        return pair is None or pair[1] == 0 or pair[1] <= self._released.get(pair[0], 0)

    # --- Hearing ----------------------------------------------------------------------------------
    def _keep_informed(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        for listener in self._listeners:
            listener.close()
        self._loop = loop
        self._tasks = []
        self._forget()
        self._listeners = [
            hub.listen(CHANNEL_REVISIONS, self._revisions_heard, on_gap=self._missed),
            hub.listen(CHANNEL_RELEASED, self._released_heard),
            hub.listen(CHANNEL_PLANNED, self._planned_heard),
        ]
        self._spawn(self._sweep())

    def _revisions_heard(self, payload: list[list[int]]) -> None:
        for device_id, revision in payload:
            entry = self._entries.get(device_id)
            if entry is not None and entry.revision < revision:
                del self._entries[device_id]
            if device_id in self._wanted or self._heard:
                self._heard[device_id] = revision

    def _released_heard(self, payload: list[int]) -> None:
        rollout_id, offered = payload
        self._released[rollout_id] = offered

    def _planned_heard(self, organization_id: int) -> None:
        self._epochs[organization_id] = self._epochs.get(organization_id, 0) + 1

    def _missed(self) -> None:
        self._entries.clear()
        self._released.clear()

    # --- Reading ----------------------------------------------------------------------------------
    async def _look_up_wanted(self) -> None:
        await asyncio.sleep(0)  # polls of the same instant come along
        while self._wanted:
            batch = dict(list(self._wanted.items())[:_LOOKUP_MAX])
            self._heard = {0: 0}  # not empty: revisions heard from now on are kept
            epochs = dict(self._epochs)
            try:
                rows = {row.device_id: row for row in await hot.poll_rows(_owners(batch))}
            except Exception as error:  # whatever it is, nobody may wait for ever
                for device_id, (_, future) in batch.items():
                    del self._wanted[device_id]
                    future.set_exception(UnavailableError("The database does not answer. Try again shortly."))
                    future.exception()  # mark as seen: the client may be gone
                if not isinstance(error, psycopg.Error | PoolTimeout):
                    raise
                logger.warning("polls could not be looked up: %s", error)
                continue
            heard, self._heard = self._heard, {}
            for device_id, (caller, future) in batch.items():
                row = rows.get(device_id)
                if row is not None and row.revision < heard.get(device_id, 0):
                    continue  # changed meanwhile: once more
                del self._wanted[device_id]
                is_own = row is not None and row.organization_id == caller.organization_id
                entry = self._enter(caller, row, epochs) if row is not None and is_own else None
                if not future.done():
                    future.set_result(entry)

    def _enter(self, caller: DeviceCaller, row: hot.PollRow, epochs: Mapping[int, int]) -> Entry:
        for rollout_id, offered in row.offered.items():
            self._released.setdefault(rollout_id, offered)
        entry = entry_of(caller, row, epoch=epochs.get(row.organization_id, 0))
        self._entries.pop(caller.device_id, None)
        if len(self._entries) >= self._size:
            self._entries.pop(next(iter(self._entries)))
        self._entries[caller.device_id] = entry
        return entry

    async def _sweep(self) -> None:
        """Find what lost notices would have said."""
        released_at = time.monotonic()
        while True:
            await asyncio.sleep(1)
            try:
                await self._sweep_devices()
                if time.monotonic() - released_at >= _SWEEP_RELEASED_S:
                    released_at = time.monotonic()
                    self._released |= await hot.released_waves(list(self._released))
            except (psycopg.Error, PoolTimeout) as error:
                logger.warning("the poll table could not be swept: %s", error)

    async def _sweep_devices(self) -> None:
        ids = list(self._entries)[self._sweep_from : self._sweep_from + _SWEEP_DEVICES]
        self._sweep_from = self._sweep_from + _SWEEP_DEVICES if ids else 0
        if not ids:
            return
        for device_id, revision in (await hot.revisions(ids)).items():
            entry = self._entries.get(device_id)
            if entry is not None and entry.revision < revision:
                del self._entries[device_id]

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks = [other for other in self._tasks if not other.done()]
        self._tasks.append(task)


def _owners(batch: Mapping[int, tuple[DeviceCaller, Any]]) -> dict[int, int]:
    return {device_id: caller.organization_id for device_id, (caller, _) in batch.items()}


def entry_of(caller: DeviceCaller, row: hot.PollRow, *, epoch: int) -> Entry:
    """What a row comes to. A device that is not accepted is told nothing."""
    base = base_href(caller)
    links: dict[str, Any] = {}
    if row.is_accepted:
        if row.attributes_wanted:
            links["configData"] = {"href": f"{base}/configData"}
        if row.installed is not None:
            links["installedBase"] = {"href": f"{base}/installedBase/{row.installed}"}
        if row.can_sign:
            links["agent"] = {"href": f"{settings.DEVICE_URL}/{caller.tenant}/agent/v1/{caller.controller_id}"}
    shown = None
    if row.is_accepted and row.action is not None:
        if row.is_cancelling:
            action = {"cancelAction": {"href": f"{base}/cancelAction/{row.action}"}}
        else:
            assert row.action_at is not None
            href = deployment_href(caller, row.action, payload_revision(row.action_at))
            action = {"deploymentBase": {"href": href}}
        shown = _answer(row.revision, {**action, **links}, is_shown=True)
    return Entry(
        organization_id=row.organization_id,
        revision=row.revision,
        epoch=epoch,
        quiet=_answer(row.revision, links, is_shown=False),
        shown=shown,
        waits_for=row.waits_for,
        is_install=not row.is_cancelling,
        due=row.due if row.is_accepted else (),
    )


def _answer(revision: int, links: dict[str, Any], *, is_shown: bool) -> Answer:
    body = msgspec.json.encode({"config": {"polling": {"sleep": polling_sleep()}}, "_links": links})
    # The configuration is in it, so that a changed interval or address is told too.
    etag = f'"{revision:x}.{is_shown:d}.{zlib.crc32(body):08x}"'
    return Answer(etag=etag.encode(), body=body)


def polling_sleep() -> str:
    """The polling interval as ``HH:MM:SS``, at most a day less a second: clients parse exactly that."""
    seconds = min(settings.DEVICE_POLL_INTERVAL_S, 86_399)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


table = PollTable()
