"""The bridge: bounded threads between the event loop and synchronous services."""

from __future__ import annotations

import asyncio
import threading

import pytest

from common.bridge import Bridge
from common.errors import UnavailableError
from common.request_id import request_id


async def test_it_returns_what_the_function_returns_and_raises_what_it_raises() -> None:
    bridge = Bridge(threads=1, queue=1)

    assert await bridge.run(lambda a, b: a + b, 2, b=3) == 5
    with pytest.raises(ZeroDivisionError):
        await bridge.run(lambda: 1 // 0)


async def test_it_refuses_what_does_not_fit_and_takes_work_again_afterwards() -> None:
    bridge = Bridge(threads=1, queue=1)
    gate = threading.Event()
    first = asyncio.create_task(bridge.run(gate.wait, 30))
    second = asyncio.create_task(bridge.run(gate.wait, 30))
    await asyncio.sleep(0)

    with pytest.raises(UnavailableError) as refusal:
        await bridge.run(gate.wait, 30)
    assert refusal.value.retryable

    gate.set()
    assert await asyncio.gather(first, second) == [True, True]
    assert await bridge.run(lambda: "again") == "again"


async def test_a_call_whose_client_went_away_still_runs_to_its_end_and_frees_its_place() -> None:
    bridge = Bridge(threads=1, queue=0)
    entered, gate, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        gate.wait(30)
        done.set()

    call = asyncio.create_task(bridge.run(work))
    await asyncio.to_thread(entered.wait, 30)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    assert await asyncio.to_thread(done.wait, 30)

    async with asyncio.timeout(30):
        while True:
            try:
                assert await bridge.run(lambda: "free") == "free"
            except UnavailableError:
                await asyncio.sleep(0)
            else:
                break


async def test_the_request_id_reaches_the_thread() -> None:
    token = request_id.set("request-0001")
    try:
        assert await Bridge(threads=1, queue=1).run(request_id.get) == "request-0001"
    finally:
        request_id.reset(token)
