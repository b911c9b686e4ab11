"""Which devices somebody is looking at right now.

Newest values are told to browsers for these only: a fleet reports thousands of batches a second, a person reads one
page.
The live door renews a notice while a device's page is open; ingest processes remember it for a little longer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from common.live import Listener, hub, notify

CHANNEL = "telemetry_watch"
RENEW_S = 10.0
_REMEMBER_S = 30.0


def devices_watch(device_ids: list[int]) -> None:
    """Say that these devices are being looked at; repeat every ``RENEW_S`` while they are."""
    if device_ids:
        notify(CHANNEL, device_ids)


class Watch:
    """The devices being looked at, as one event loop's ingest knows them."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}
        self._listener: Listener | None = None

    def open(self) -> None:
        """Listen; call on the event loop."""
        asyncio.get_running_loop()
        self._listener = hub.listen(CHANNEL, self._heard)

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def has(self, device_id: int) -> bool:
        """Whether somebody looks at the device."""
        until = self._until.get(device_id)
        return until is not None and until > time.monotonic()

    def _heard(self, payload: Any) -> None:
        at = time.monotonic()
        self._until = {device_id: until for device_id, until in self._until.items() if until > at}
        self._until |= dict.fromkeys(payload, at + _REMEMBER_S)
