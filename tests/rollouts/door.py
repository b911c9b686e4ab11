"""The device doors in this process, on an event loop of their own, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from httpx import ASGITransport, AsyncClient, Response

from common.pool import close_pool
from config import gateway
from config.lifespan import lifespan

_TIMEOUT_S = 30


class Door:
    """Requests from any thread, answered by the gateway as one process would."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="door", daemon=True)
        self._thread.start()
        self._lifespan = lifespan(gateway.doors)
        transport = ASGITransport(app=gateway.application, raise_app_exceptions=True)
        self._client = AsyncClient(transport=transport, base_url="http://testserver")
        self._run(self._lifespan.__aenter__())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_TIMEOUT_S)

    def request(self, method: str, path: str, **values: Any) -> Response:
        answer: Response = self._run(self._client.request(method, path, **values))
        return answer

    def get(self, path: str, **values: Any) -> Response:
        return self.request("GET", path, **values)

    def post(self, path: str, **values: Any) -> Response:
        return self.request("POST", path, **values)

    def put(self, path: str, **values: Any) -> Response:
        return self.request("PUT", path, **values)

    def close(self) -> None:
        self._run(self._client.aclose())
        self._run(self._lifespan.__aexit__(None, None, None))
        self._run(self._end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _end_tasks(self) -> None:
        # Not the connection pool's own: closing it ends them.
        tasks = [
            task
            for task in asyncio.all_tasks()
            if task is not asyncio.current_task() and not task.get_name().startswith("pool-")
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await close_pool()  # a timer that woke late may have opened it again
