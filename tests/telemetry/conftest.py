"""Fixtures of telemetry's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from common.pool import close_pool
from config.gateway import application
from fleet.hot import contacts
from governance.models import Organization
from telemetry.services.ingest import ingest_close
from tests.factories.telemetry import Sender, sender_make


@pytest.fixture
def committed(transactional_db: None) -> None:
    """The test's data is committed, since ingest has connections of its own."""


@pytest.fixture(autouse=True)
async def _connections_of_the_helper_thread() -> AsyncIterator[None]:
    """``sync_to_async`` runs in a thread whose connection would outlive the test database."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
def sender(organization: Organization) -> Sender:
    return sender_make(organization)


@pytest.fixture
async def door(committed: None) -> AsyncIterator[httpx.AsyncClient]:
    """The devices' door, in this process."""
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client
    await ingest_close()
    await contacts.flush()
    await close_pool()


@pytest.fixture
def rows() -> Callable[..., list[tuple[Any, ...]]]:
    """Runs a query on the committed data."""

    def run(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())

    return run
