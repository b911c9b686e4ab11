"""When a device counts as online: the one definition."""

from __future__ import annotations

from datetime import datetime, timedelta

MISSED_POLLS = 3  # one lost poll is a hiccup of the network, three are an absence
MINIMUM_PATIENCE = timedelta(seconds=30)


def patience(poll_interval_s: float) -> timedelta:
    """How long a device may be silent and still count as online."""
    return max(MISSED_POLLS * timedelta(seconds=poll_interval_s), MINIMUM_PATIENCE)


def online_since(at: datetime, poll_interval_s: float) -> datetime:
    """Devices last seen at this instant or later are online at ``at``."""
    return at - patience(poll_interval_s)


def is_online(last_seen_at: datetime | None, *, at: datetime, poll_interval_s: float) -> bool:
    """Whether a device last seen then is online at ``at``; one never seen is not."""
    return last_seen_at is not None and last_seen_at >= online_since(at, poll_interval_s)
