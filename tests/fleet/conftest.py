"""The device doors, and devices in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from common.pool import close_pool
from config import gateway
from config.host import HostGuard
from fleet.device_api.authentication import authenticate_device
from fleet.hot import contacts
from fleet.models import Device
from tests.factories.fleet import DEVICE_URL, EdgeDevice, enrolment_token_make
from tests.factories.people import Person


async def _who(request: Request) -> JSONResponse:
    """The least a door can do: say who is calling."""
    return JSONResponse({"device_id": authenticate_device(request).device_id})


@pytest.fixture
async def doors(transactional_db: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client at the device doors, and at one more that only says who is calling."""
    gateway.doors.router.routes.append(Route("/{tenant}/agent/v1/{cid}/who", _who))
    try:
        transport = httpx.ASGITransport(app=HostGuard(gateway.doors))
        async with httpx.AsyncClient(transport=transport, base_url=DEVICE_URL) as client:
            yield client
    finally:
        gateway.doors.router.routes.pop()
        await contacts.flush()
        await close_pool()
        # The thread that ran the test's own queries keeps its connection otherwise.
        await sync_to_async(connections.close_all)()


@pytest.fixture
def token(operator: Person) -> Callable[..., str]:
    """Makes enrolment tokens of the operator's organization."""

    def make(**columns: Any) -> str:
        return enrolment_token_make(operator.caller, **columns)

    return make


@pytest.fixture
def device_in(doors: httpx.AsyncClient) -> Callable[..., EdgeDevice]:
    """Makes devices in front of the doors."""

    def make(controller_id: str = "", **arguments: Any) -> EdgeDevice:
        return EdgeDevice(doors, controller_id, **arguments)

    return make


@pytest.fixture
def stored() -> Callable[[EdgeDevice], Device]:
    """The row of a device."""

    def read(device: EdgeDevice) -> Device:
        return Device.objects.get(organization__slug=device.tenant, controller_id=device.controller_id)

    return read
