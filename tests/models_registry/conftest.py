"""What the registry's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from common.pool import close_pool
from config.asgi import application
from fleet.hot import contacts
from tests.models_registry.assets import make_assets


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file ``make_assets`` makes."""
    folder = tmp_path_factory.mktemp("assets")
    make_assets.make(folder)
    return folder


@pytest.fixture
async def web(transactional_db: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole front door, in this process."""
    transport = httpx.ASGITransport(app=application)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client
    finally:
        # What the server's lifespan does at its end: nothing may hold the database when it is emptied.
        await contacts.flush()
        await close_pool()
