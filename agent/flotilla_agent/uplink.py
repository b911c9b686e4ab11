"""Empties the outbox: batch after batch, acknowledged one by one, with growing pauses while the network is
away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from flotilla_agent.client import ControlPlane, RefusedError, UnreachableError
from flotilla_agent.outbox import Outbox
from flotilla_agent.update.machine import pause_s
from flotilla_protocol import codec
from flotilla_protocol.messages import TelemetryReceipt

log = logging.getLogger(__name__)

# What can be wrong with one batch and will stay wrong; anything else (rights, tenant) may heal.
_BATCH_IS_BAD = frozenset({400, 413, 415, 422})


class Uplink:
    """Sends what waits.

    Args:
        control_plane: the connection.
        outbox: the queue.
        url: gives the address, or None while it is not known.
    """

    def __init__(self, control_plane: ControlPlane, outbox: Outbox, url: Callable[[], str | None]) -> None:
        self._control_plane = control_plane
        self._outbox = outbox
        self._url = url
        self._failures = 0

    def drain(self, *, limit: int = 64) -> float:
        """Send up to ``limit`` batches. Returns the seconds to pause: 0 when all went well."""
        url = self._url()
        if url is None:
            return 0.0
        for _ in range(limit):
            entry = self._outbox.next()
            if entry is None:
                return 0.0
            waiting, content = entry
            try:
                answer = self._control_plane.request("POST", url, content=(codec.MSGPACK, content))
                receipt = answer.message(TelemetryReceipt)
            except UnreachableError as error:
                return self._failed(str(error), error.after_s)
            except RefusedError as error:
                if error.status in _BATCH_IS_BAD:
                    log.warning("A telemetry batch was refused and is given up: %s", error)
                    self._outbox.refused(waiting)
                    continue
                return self._failed(str(error), 0.0)
            if receipt.stream != waiting.stream or receipt.sequence < waiting.sequence:
                return self._failed("The receipt is for another batch.", 0.0)
            self._failures = 0
            self._outbox.is_uplink_down = False
            self._outbox.acknowledged(receipt.stream, receipt.sequence)
        return 0.0

    def _failed(self, text: str, after_s: float) -> float:
        self._failures += 1
        self._outbox.is_uplink_down = True
        log.info("Telemetry waits (%d): %s", self._failures, text)
        return max(after_s, min(pause_s(self._failures), 60.0))
