"""The hot paths' own database connections: a psycopg pool per event loop, in autocommit."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import connections
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

_MAX_SIZE = 6
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncConnectionPool[AsyncConnection[tuple[object, ...]]]] = (
    WeakKeyDictionary()
)


def conninfo() -> dict[str, str]:
    """Arguments of ``psycopg.connect`` for the database Django uses, the test database included."""
    values = settings.DATABASE_ADDRESS.conninfo
    return {**values, "dbname": connections["default"].settings_dict["NAME"]}


async def async_pool() -> AsyncConnectionPool[AsyncConnection[tuple[object, ...]]]:
    """The pool of the running event loop, opened on first use."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = AsyncConnectionPool(
            min_size=1,
            max_size=_MAX_SIZE,
            timeout=5,
            kwargs={**conninfo(), "autocommit": True, "application_name": "flotilla-hot"},
            open=False,
        )
        _pools[loop] = pool
        await pool.open()
    return pool


async def close_pool() -> None:
    """Close the running loop's pool; at shutdown."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.close()
