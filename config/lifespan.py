"""What a web or gateway process gives back after its last request."""

from __future__ import annotations

import asyncio
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
