"""Everybody in one wave; the hold-out, where the policy wants one, follows."""

from __future__ import annotations

from rollouts.policy.strategies.shares import WaveShare, percent
from rollouts.policy.types import Policy


def waves(policy: Policy) -> tuple[WaveShare, ...]:
    """One wave, and the hold-out."""
    share = policy.holdout_percent / 100
    if share == 0:
        return (WaveShare(name="all", upto=1.0),)
    return (
        WaveShare(name="all", upto=1.0),
        WaveShare(name=f"hold-out {percent(policy.holdout_percent)}", upto=share, is_holdout=True),
    )
