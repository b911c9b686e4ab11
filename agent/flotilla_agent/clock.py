"""The agent's clock: the device's own, corrected by what the control plane says the time is."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class Clock:
    """Corrected time. A device whose battery-less clock starts in 1970 can still sign a valid assertion."""

    # An HTTP Date has whole seconds and is stamped at either end of a slow answer: only a larger gap is news.
    DATE_TOLERANCE_S = 5.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset_s = 0.0
        self._is_measured = False

    @property
    def offset_s(self) -> float | None:
        """Device time less control plane time, seconds; None until it was measured exactly."""
        return self._offset_s if self._is_measured else None

    def now(self) -> datetime:
        """The corrected time, aware, UTC."""
        return datetime.fromtimestamp(time.time() - self._offset_s, UTC)

    def now_ms(self) -> int:
        """The corrected time in milliseconds since 1970."""
        return int((time.time() - self._offset_s) * 1000)

    def measure(self, server_time_ms: int, *, sent_at: float, received_at: float) -> None:
        """Take the control plane's time as that of the middle of the request (both ends from
        ``time.time``).
        """
        with self._lock:
            self._offset_s = (sent_at + received_at) / 2 - server_time_ms / 1000
            self._is_measured = True

    def correct_by_date(self, header: str | None) -> bool:
        """Take an HTTP ``Date`` when it is far from our time. Returns whether the clock was changed."""
        try:
            stamped = parsedate_to_datetime(header or "").timestamp()
        except (TypeError, ValueError):
            return False
        gap = self.now().timestamp() - stamped
        if abs(gap) <= self.DATE_TOLERANCE_S:
            return False
        with self._lock:
            self._offset_s += gap
        return True
