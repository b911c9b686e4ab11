"""Rollout strategies, one module each; ``docs/developers/adding-a-rollout-strategy.md``.

A strategy is a module with ``waves(policy) -> tuple[WaveShare, ...]``; it says how much each wave gets. Which device
is in which wave is the same for all (``policy/assignment.py``): stratified, by hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from rollouts.models import Strategy
from rollouts.policy.strategies import all_at_once, canary
from rollouts.policy.strategies.shares import WaveShare
from rollouts.policy.types import Policy


class StrategyModule(Protocol):
    """What a strategy's module offers."""

    def waves(self, policy: Policy) -> tuple[WaveShare, ...]:
        """The waves in order of release; ``upto`` rises and ends at 1."""


STRATEGIES: Final[Mapping[str, StrategyModule]] = {
    Strategy.ALL_AT_ONCE: all_at_once,
    Strategy.CANARY: canary,
}


def waves_of(strategy: str, policy: Policy) -> tuple[WaveShare, ...]:
    """The waves of a rollout.

    Raises:
        KeyError: no such strategy; callers have checked it against ``Strategy``.
    """
    return STRATEGIES[strategy].waves(policy)


__all__ = ["STRATEGIES", "WaveShare", "waves_of"]
