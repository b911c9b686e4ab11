"""From the event loop to ordinary synchronous services: one bounded pool of threads per process.

Stock Django opens and closes a thread pool per request under ASGI; this one is made once. It holds as many threads as
the process has database connections, so a thread never waits for one, and it refuses work when its queue is full.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import close_old_connections

from common.errors import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

_QUEUE_PER_THREAD = 16


class Bridge:
    """A bounded executor for synchronous calls.

    Args:
        threads: how many calls run at once.
        queue: how many more may wait; the next one is refused.
    """

    def __init__(self, *, threads: int, queue: int) -> None:
        self._capacity = threads + queue
        self._in_flight = 0
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="bridge")

    async def run(self, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``func`` in a thread and wait for it. Call from one event loop only.

        A call that was started runs to its end even when the client goes away, as its transaction would otherwise end
        at a random line.

        Raises:
            UnavailableError: the queue is full; nothing was started.
        """
        if self._in_flight >= self._capacity:
            raise UnavailableError(
                "The server is busy. Nothing was changed; repeat in a few seconds.", code="overloaded"
            )
        self._in_flight += 1
        context = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(
            self._executor, partial(context.run, _with_connections, partial(func, *args, **kwargs))
        )
        future.add_done_callback(self._release)
        return await asyncio.shield(future)

    def _release(self, future: asyncio.Future[Any]) -> None:
        self._in_flight -= 1
        if not future.cancelled():
            future.exception()  # mark as seen: the awaiting client may be gone


def _with_connections(func: Callable[[], T]) -> T:
    """Give the connection back to the pool after the call, as Django does after a request."""
    close_old_connections()
    try:
        return func()
    finally:
        close_old_connections()


def _make() -> Bridge:
    threads: int = settings.DATABASES["default"]["OPTIONS"].get("pool", {}).get("max_size", 8)
    return Bridge(threads=threads, queue=threads * _QUEUE_PER_THREAD)


bridge = _make()
