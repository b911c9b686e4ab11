"""The live socket of browsers, ``/ws/live/``; the contract is ``docs/protocol/live.md``.

Channels carries the connection; the hub (``common/live.py``) carries the changes. Who is asking is resolved when the
socket opens and again every 10 s, so that a person who signed out or lost their membership hears nothing more.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer

from common.bridge import bridge
from common.clock import now
from common.errors import DomainError, NotAuthenticatedError, NotPermittedError
from common.live import Frame, Subscription, hub
from governance.authentication import caller_from_scope, origin_is_ours
from governance.types import Caller
from telemetry.topics import topic_resolve
from telemetry.watch import RENEW_S, devices_watch

SIGNED_OUT, ORIGIN_REFUSED, TRY_AGAIN = 4401, 4403, 1013
BEAT_S = 5.0
RECHECK_S = 10.0
TOPICS_MAX = 100  # of one socket
MESSAGE_MAX_CHARACTERS = 16_384
_UNSUPPORTED, _TOO_BIG = 1003, 1009


class ClientMessage(msgspec.Struct, frozen=True):
    """What a browser says."""

    type: str
    topics: list[str] = []


_decoder = msgspec.json.Decoder(ClientMessage)


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One browser tab. Its unread changes live in the hub's subscription, which is bounded."""

    caller: Caller
    subscription: Subscription

    async def connect(self) -> None:
        """Accept, find out who it is, and start to serve; browsers see close codes only after an accept."""
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._watched: dict[str, int] = {}
        await self.accept()
        origin = dict(self.scope["headers"]).get(b"origin", b"").decode("latin-1")
        if origin and not origin_is_ours(origin):
            await self.close(ORIGIN_REFUSED)
            return
        caller = await self._resolve()
        if caller is None:
            return
        self.caller = caller
        self.subscription = await self._stack.enter_async_context(hub.subscription(caller.organization_id))
        await self._say({"type": "hello", "revision": 1})
        self._tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._recheck())]

    async def disconnect(self, _code: int) -> None:
        """Give everything back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """``subscribe`` and ``unsubscribe``; anything else ends the socket."""
        if not self._tasks:
            return  # refused; what the browser sent before it knew is moot
        if text_data is None or len(text_data) > MESSAGE_MAX_CHARACTERS:
            await self.close(_UNSUPPORTED if text_data is None else _TOO_BIG)
            return
        try:
            message = _decoder.decode(text_data)
        except msgspec.MsgspecError:
            await self.close(_UNSUPPORTED)
            return
        if message.type == "subscribe":
            for topic in message.topics:
                await self._subscribe(topic)
            devices_watch(list(self._watched.values()))
        elif message.type == "unsubscribe":
            self.subscription.discard(message.topics)
            for topic in message.topics:
                self._watched.pop(topic, None)
        else:
            await self.close(_UNSUPPORTED)

    async def _subscribe(self, topic: str) -> None:
        allowed = None
        if len(self.subscription.topics) < TOPICS_MAX:
            try:
                allowed = await bridge.run(topic_resolve, caller=self.caller, topic=topic)
            except DomainError:
                await self.close(TRY_AGAIN)
                return
        if allowed is None:
            await self._say({"type": "refused", "topic": topic})
            return
        # First followed, then said: a snapshot fetched after the answer misses nothing.
        self.subscription.add([allowed.name])
        if allowed.device_id is not None:
            self._watched[allowed.name] = allowed.device_id
        await self._say({"type": "subscribed", "topic": topic})

    async def _resolve(self) -> Caller | None:
        """Who it is; closes the socket and answers None when it is nobody."""
        try:
            return await bridge.run(caller_from_scope, self.scope)
        except NotAuthenticatedError:
            await self.close(SIGNED_OUT)
        except NotPermittedError:
            await self.close(ORIGIN_REFUSED)
        except DomainError:
            await self.close(TRY_AGAIN)
        return None

    async def _pump(self) -> None:
        """Frames as they come, a beat when none does. A browser that does not read holds up this loop alone."""
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    frame = await anext(self.subscription)
            except TimeoutError:
                await self._say({"type": "beat"})
                continue
            if frame.is_gap:
                await self._say({"type": "gap"})
            if frame.changes:
                await self._say(_frame_message(frame))

    async def _recheck(self) -> None:
        renewals = max(1, round(RECHECK_S / RENEW_S))
        while True:
            for _ in range(renewals):
                await asyncio.sleep(RECHECK_S / renewals)
                devices_watch(list(self._watched.values()))
            caller = await self._resolve()
            if caller is None:
                return
            if caller.organization_id != self.caller.organization_id:
                await self.close(SIGNED_OUT)
                return
            self.caller = caller

    async def _say(self, message: dict[str, Any]) -> None:
        await self.send(text_data=msgspec.json.encode(message).decode())


def _frame_message(frame: Frame) -> dict[str, Any]:
    return {
        "type": "frame",
        "at": now(),
        "changes": [
            {"topic": change.topic, "kind": change.kind, "id": change.id, "data": change.data}
            for change in frame.changes
        ],
    }
