"""What browsers hear of devices while they look."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from common.clock import advanced
from common.live import Subscription, hub
from fleet.services.contact import devices_lost_detect
from tests.factories.fleet import device_make
from tests.factories.people import Person

DEADLINE_S = 10.0


async def heard(reader: Subscription, kind: str) -> dict[str, Any]:
    """The data of the next change of this kind."""
    async with asyncio.timeout(DEADLINE_S):
        async for frame in reader:
            for change in frame.changes:
                if change.kind == kind:
                    return dict(change.data)
    raise AssertionError(f"no {kind}")


async def test_an_open_page_hears_of_a_move_and_of_lost_contact(transactional_db: None, operator: Person) -> None:
    device = await sync_to_async(device_make)(operator.organization)
    topics = ["devices", f"device:{device.public_id}"]
    async with hub.subscription(operator.organization.pk, topics) as reader:
        await asyncio.to_thread(hub.wait_ready, DEADLINE_S)

        await sync_to_async(operator.post)(f"/api/v1/devices/{device.public_id}/quarantine/", {"reason": "odd"})
        event = await heard(reader, "device.event")
        assert (event["kind"], event["text"], event["reference"]) == ("device.quarantined", "Quarantined", None)

    async with hub.subscription(operator.organization.pk, ["devices"]) as reader:
        with advanced(timedelta(hours=1)):
            assert await sync_to_async(devices_lost_detect)() == 1
        changed = await heard(reader, "device.changed")
        while changed["is_online"]:  # the move's own change may still be on its way
            changed = await heard(reader, "device.changed")
        assert changed["state"] == "quarantined"
    await sync_to_async(connections.close_all)()
