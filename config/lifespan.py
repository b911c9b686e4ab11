"""What a web or gateway process does before its first request, and gives back after its last."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from common import live
from common.pool import close_pool
from rollouts.device_api.polltable import table as poll_table
from telemetry.services.ingest import ingest_close


@asynccontextmanager
async def lifespan(_application: Any) -> AsyncIterator[None]:
    """Everything opens on first use; on the way out connections and threads end in order."""
    try:
        yield
    finally:
        poll_table.stop()
        await ingest_close()
        await close_pool()
        await asyncio.to_thread(live.shutdown)


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[None]:
    """``lifespan`` in a process that does nothing else: its garbage collector is set for serving.

    What is loaded by now is some 140,000 objects that stay: they are not walked again. And requests that wait for a
    commit together are so many young objects that at its own thresholds the collector would hardly pause.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    async with lifespan(application):
        yield
