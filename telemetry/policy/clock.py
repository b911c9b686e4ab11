"""What to do with times a device cannot have measured at.

Device clocks are wrong in two ways that matter. Ahead: the whole batch is moved back so that its newest row is now; the
spacing within it, which the device measured with one clock, stays. Behind by more than the series reach back (a battery
that died, a clock at 1970): the row cannot be placed and is left out, counted, and acknowledged, since sending it again
would not help. The offset itself travels as ``clock_offset_s``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

AHEAD_TOLERANCE_MS = 60_000  # as NTP-less devices drift within days; not worth moving anything for


@dataclass(frozen=True)
class Placement:
    """How a batch's times are taken.

    Attributes:
        shift_ms: to be added to every time; 0 or negative.
        oldest_ms: rows that lie before it after the shift are left out.
    """

    shift_ms: int
    oldest_ms: int

    def place(self, ts_ms: int) -> int | None:
        """The time to store, or None when the row is too old to be kept."""
        placed = ts_ms + self.shift_ms
        return placed if placed >= self.oldest_ms else None


def placement(times_ms: Sequence[int], *, now_ms: int, oldest_ms: int) -> Placement:
    """Decide for one batch.

    Args:
        times_ms: all times of the batch, Unix milliseconds; may be empty.
        now_ms: the server's time.
        oldest_ms: how far the series reach back.
    """
    ahead_ms = max(times_ms, default=now_ms) - now_ms
    return Placement(shift_ms=-ahead_ms if ahead_ms > AHEAD_TOLERANCE_MS else 0, oldest_ms=oldest_ms)
