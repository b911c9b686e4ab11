"""A limit in front of Django: so many requests at once, so many more waiting, the rest are told to come back.

Without it 300 concurrent requests want 300 threads and as many database connections, and most of them fail with 500.
"""

from __future__ import annotations

import asyncio

from config.exception_handler import error_body
from config.host import Application, Receive, Scope, Send, send_json

_RETRY_AFTER_S = 2


class ConcurrencyLimit:
    """ASGI middleware.

    Args:
        application: what is protected.
        running: requests inside at once; the number of database connections is a good one.
        waiting: requests that may wait for their turn.
        patience_s: how long one waits before it is answered 503.
    """

    def __init__(self, application: Application, *, running: int, waiting: int, patience_s: float) -> None:
        self._application = application
        self._slots = asyncio.Semaphore(running)
        self._room = waiting
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits for a slot or answers 503 with ``Retry-After``."""
        if self._slots.locked():
            if self._room <= 0:
                await self._refuse(send)
                return
            self._room -= 1
            try:
                await asyncio.wait_for(self._slots.acquire(), self._patience_s)
            except TimeoutError:
                await self._refuse(send)
                return
            finally:
                self._room += 1
        else:
            await self._slots.acquire()
        try:
            await self._application(scope, receive, send)
        finally:
            self._slots.release()

    async def _refuse(self, send: Send) -> None:
        body = error_body("overloaded", "The server is busy. Nothing was changed; repeat in a few seconds.")
        await send_json(send, 503, body, ((b"retry-after", str(_RETRY_AFTER_S).encode()),))
