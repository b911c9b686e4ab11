"""How much a wave gets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WaveShare:
    """One wave of a strategy.

    Args:
        name: shown on screen.
        upto: cumulative share of each stratum after this wave, above 0 and at most 1.
        is_holdout: the wave is the hold-out: taken off the end, released last, control until then.
        covers_strata: every stratum gives at least one device to this wave. Only the first wave may.
    """

    name: str
    upto: float
    is_holdout: bool = False
    covers_strata: bool = False


def percent(value: float) -> str:
    """``5`` as ``5 %``, ``2.5`` as ``2.5 %``."""
    return f"{value:g} %"
