"""The one source of time, so that tests can hold it still.

Every module asks ``now()``; nobody calls ``datetime.now`` or ``timezone.now``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_offset = timedelta(0)
_frozen_at: datetime | None = None


def now() -> datetime:
    """The current time, aware, UTC."""
    return (_frozen_at or datetime.now(UTC)) + _offset


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Hold ``now()`` at ``at`` within the block; for tests. Not for threads that outlive the block."""
    global _frozen_at  # noqa: PLW0603 - the clock is process wide by purpose
    previous, _frozen_at = _frozen_at, at
    try:
        yield
    finally:
        _frozen_at = previous


@contextmanager
def advanced(by: timedelta) -> Iterator[None]:
    """Let ``now()`` run ahead by ``by`` within the block; for tests."""
    global _offset  # noqa: PLW0603 - the clock is process wide by purpose
    previous, _offset = _offset, _offset + by
    try:
        yield
    finally:
        _offset = previous
