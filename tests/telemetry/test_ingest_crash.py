"""``kill -9`` of the ingest process: nothing acknowledged is lost, nothing sent again is doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from governance.models import Organization
from tests.factories.telemetry import now_ms, sender_make
from tests.server import Server
from tests.soak.plugin import Soak
from tests.telemetry.crash import Sending, send_through_kills

DEVICES = 20


@pytest.mark.soak("ingest_kill")
async def test_a_killed_server_loses_nothing_it_acknowledged_and_doubles_nothing(
    soak: Soak, server: Server, organization: Organization, rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    def devices() -> list[Sending]:
        made = [sender_make(organization) for _ in range(DEVICES)]
        return [Sending(device_id=one.device.pk, path=one.path, token=one.token) for one in made]

    def kill_and_restart() -> None:
        server.kill()
        server.start()
        soak.count("kills")

    ledger = await send_through_kills(
        server.url,
        await sync_to_async(devices)(),
        kill_and_restart=lambda: asyncio.to_thread(kill_and_restart),
        kills=soak.scale,
        start_ms=now_ms() - 3_600_000,
        choices=soak.random,
    )
    stored = await sync_to_async(rows)(
        "SELECT device_id, round(extract(epoch FROM ts) * 1000)::bigint FROM telemetry_healthsample"
    )
    soak.count("rows acknowledged", len(ledger.acknowledged))
    soak.count("repeats", ledger.repeats)
    assert ledger.acknowledged
    assert (ledger.lost(stored), ledger.doubled(stored)) == (0, 0)
