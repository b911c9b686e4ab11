"""The limit in front of Django: overload is answered, not suffered."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from config.host import Receive, Scope, Send, send_json
from config.limit import ConcurrencyLimit


class Gate:
    """An application that answers when its gate opens, and notes how many requests were inside at once."""

    def __init__(self, expected: int = 1) -> None:
        self.open = asyncio.Event()
        self.full = asyncio.Event()  # as many as expected are inside
        self.expected = expected
        self.inside = 0
        self.most_inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        if self.inside >= self.expected:
            self.full.set()
        await self.open.wait()
        self.inside -= 1
        await send_json(send, 200, {})


def client(application: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://testserver")


async def test_at_most_so_many_run_at_once_and_the_waiting_ones_follow() -> None:
    gate = Gate(expected=2)
    limited = ConcurrencyLimit(gate, running=2, waiting=8, patience_s=30)
    async with client(limited) as http:
        requests = [asyncio.create_task(http.get("/")) for _ in range(10)]
        async with asyncio.timeout(30):
            await gate.full.wait()
        gate.open.set()
        answers = await asyncio.gather(*requests)

    assert [answer.status_code for answer in answers] == [200] * 10
    assert gate.most_inside == 2


async def test_what_does_not_fit_is_told_to_come_back() -> None:
    gate = Gate()
    limited = ConcurrencyLimit(gate, running=1, waiting=1, patience_s=30)
    async with client(limited) as http:
        requests = [asyncio.create_task(http.get("/")) for _ in range(4)]
        done, waiting = await asyncio.wait(requests, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            more, waiting = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        refused = [task.result() for task in done]
        gate.open.set()
        served = await asyncio.gather(*waiting)

    assert [answer.status_code for answer in refused] == [503, 503]
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert refused[0].json()["code"] == "overloaded"
    assert [answer.status_code for answer in served] == [200, 200]


async def test_one_that_waited_too_long_is_told_to_come_back() -> None:
    gate = Gate()
    limited = ConcurrencyLimit(gate, running=1, waiting=1, patience_s=0.01)
    async with client(limited) as http:
        first = asyncio.create_task(http.get("/"))
        async with asyncio.timeout(30):
            await gate.full.wait()
        late = await http.get("/")
        gate.open.set()
        assert (await first).status_code == 200

    assert late.status_code == 503
