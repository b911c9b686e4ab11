"""What the fleet does on every request of a device: nothing that waits.

``touch`` notes in memory that a device was heard of; a second later one UPDATE writes all that was noted.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from common.bridge import bridge
from common.clock import now
from common.errors import DomainError
from common.pool import async_pool
from fleet.services.access import ACCESS_LIFETIME
from fleet.services.contact import devices_seen_record

logger = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 1.0
_SLACK = timedelta(minutes=1)  # hosts' clocks differ a little

# Devices whose tokens were revoked so recently that revoked tokens may still be unexpired. Partial index
# device_tokens_revoked.
REVOKED = "SELECT id, token_generation FROM fleet_device WHERE tokens_revoked_at > %s"


class Contacts:
    """Devices heard of since the last flush. One per process; used from one event loop at a time."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flushing: asyncio.Task[None] | None = None

    def touch(self, device_id: int) -> None:
        """Note that the device was heard of now. Call on the event loop; never waits."""
        self._seen.add(device_id)
        loop = asyncio.get_running_loop()
        # A loop that ended took its timer with it.
        if self._loop is not loop or self._flushing is None or self._flushing.done():
            self._loop = loop
            self._flushing = loop.create_task(self._flush_later())

    async def flush(self) -> None:
        """Write what was noted. A flush that fails keeps it for the next; devices also come again by themselves."""
        seen, self._seen = self._seen, set()
        if not seen:
            return
        at: datetime = now()
        try:
            await bridge.run(devices_seen_record, device_ids=list(seen), at=at)
        except DomainError as error:
            self._seen |= seen
            logger.warning("last contact of %d devices is written later: %s", len(seen), error.text)
        except Exception:
            logger.exception("last contact of %d devices was not written", len(seen))

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_INTERVAL_S)
        while self._seen:
            await self.flush()
            await asyncio.sleep(FLUSH_INTERVAL_S)


contacts = Contacts()
touch = contacts.touch


async def revoked_generations() -> list[tuple[int, int]]:
    """``(device number, lowest generation still accepted)`` of recently revoked devices."""
    pool = await async_pool()
    async with pool.connection() as connection:
        cursor = await connection.execute(REVOKED, [now() - ACCESS_LIFETIME - _SLACK])
        rows = await cursor.fetchall()
    return [(int(str(row[0])), int(str(row[1]))) for row in rows]
