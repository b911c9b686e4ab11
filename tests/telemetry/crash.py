"""Devices that send until they are acknowledged, while their server is killed again and again.

What must hold at the end: every row of an acknowledged batch is in the table, and no row is there twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import httpx

from flotilla_protocol.messages import Health, TelemetryBatch, telemetry_encode

ROWS_PER_BATCH = 5
_PATIENCE_S = 90.0


@dataclass(frozen=True)
class Sending:
    """A device that may send: its number, where to, and its credential."""

    device_id: int
    path: str
    token: str


@dataclass
class Ledger:
    """What the devices know at the end. A key is ``(device number, time in milliseconds)`` of one row."""

    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    unanswered: set[tuple[int, int]] = field(default_factory=set)
    repeats: int = 0

    def lost(self, stored: Sequence[tuple[int, int]]) -> int:
        """Acknowledged rows that are not stored."""
        return len(self.acknowledged - set(stored))

    def doubled(self, stored: Sequence[tuple[int, int]]) -> int:
        """Rows stored more than once, or never sent."""
        return len(stored) - len(set(stored)) + len(set(stored) - self.acknowledged - self.unanswered)


async def send_through_kills(
    base_url: str,
    senders: Sequence[Sending],
    *,
    kill_and_restart: Callable[[], Awaitable[None]],
    kills: int,
    start_ms: int,
    choices: random.Random,
) -> Ledger:
    """Let every device send batch after batch while the server dies ``kills`` times at random moments.

    Args:
        base_url: of the server.
        senders: the devices; each sends in order and repeats a batch until it is acknowledged.
        kill_and_restart: ends the server as ``kill -9`` does and returns when the next one answers.
        kills: how often.
        start_ms: time of the first row; later rows follow a millisecond apart.
        choices: decides when to kill.
    """
    ledger = Ledger()
    is_done = asyncio.Event()
    limits = httpx.Limits(max_connections=len(senders))
    async with httpx.AsyncClient(base_url=base_url, limits=limits, timeout=5.0, trust_env=False) as client:
        tasks = [asyncio.create_task(_send(client, sender, ledger, start_ms, is_done)) for sender in senders]
        for _ in range(kills):
            before = len(ledger.acknowledged)
            async with asyncio.timeout(_PATIENCE_S):
                while len(ledger.acknowledged) - before < len(senders) * ROWS_PER_BATCH:  # noqa: ASYNC110 - any moment
                    await asyncio.sleep(choices.uniform(0.005, 0.05))
            await kill_and_restart()
        is_done.set()
        await asyncio.gather(*tasks)
    return ledger


async def _send(
    client: httpx.AsyncClient, sender: Sending, ledger: Ledger, start_ms: int, is_done: asyncio.Event
) -> None:
    sequence = 0
    headers = {"Authorization": f"Bearer {sender.token}", "Content-Type": "application/msgpack"}
    while not is_done.is_set():
        sequence += 1
        first = start_ms + sequence * ROWS_PER_BATCH
        times = list(range(first, first + ROWS_PER_BATCH))
        health = Health(ts_ms=times, cpu_ratio=[0.5] * ROWS_PER_BATCH)
        body = telemetry_encode(TelemetryBatch(stream=2, sequence=sequence, health=health))
        rows = {(sender.device_id, ts_ms) for ts_ms in times}
        ledger.unanswered |= rows
        async with asyncio.timeout(_PATIENCE_S):
            while not await _post(client, sender.path, body, headers):
                ledger.repeats += 1
                await asyncio.sleep(0.05)
        ledger.unanswered -= rows
        ledger.acknowledged |= rows


async def _post(client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        answer = await client.post(path, content=body, headers=headers)
    except httpx.TransportError:
        return False  # the server died before or after its commit: nobody knows, so the batch is sent again
    assert answer.status_code in {200, 503}, answer.text
    return answer.status_code == httpx.codes.OK
