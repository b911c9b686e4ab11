"""How bad it is at a place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

WARN_BELOW_ONLINE_RATIO = 0.9
_RANK: Final = {None: 0, "info": 0, "warning": 1, "critical": 2}


def contact_severity(*, total: int, online: int) -> str | None:
    """``critical`` when nobody answers, ``warning`` when fewer than nine in ten do, else None."""
    if total == 0 or online >= WARN_BELOW_ONLINE_RATIO * total:
        return None
    return "critical" if online == 0 else "warning"


def worst(severities: Iterable[str | None]) -> str | None:
    """The worst of ``critical``, ``warning`` and None; ``info`` is nothing to worry about."""
    found = max(severities, key=lambda severity: _RANK[severity], default=None)
    return found if _RANK[found] else None


def hour_state(*, total: int, online: int, alert: str | None) -> str:
    """``ok``, ``warning``, ``critical``, or ``no_data`` where there was no device."""
    if total == 0:
        return "no_data"
    return worst((contact_severity(total=total, online=online), alert)) or "ok"


def rank(severity: str | None) -> int:
    """For sorting: the worse the higher."""
    return _RANK[severity]
