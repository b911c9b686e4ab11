"""A few devices first, then growing waves, then the hold-out."""

from __future__ import annotations

from rollouts.policy.strategies.shares import WaveShare, percent
from rollouts.policy.types import Policy


def waves(policy: Policy) -> tuple[WaveShare, ...]:
    """The canary, ``policy.waves``, the rest, and the hold-out."""
    steps = [
        WaveShare(
            f"canary {percent(policy.canary_percent)}", policy.canary_percent / 100, covers_strata=policy.cover_strata
        )
    ]
    for upto in policy.waves:
        name = "all" if upto >= 100 else f"to {percent(upto)}"  # noqa: PLR2004 - percent
        steps.append(WaveShare(name, upto / 100))
    if steps[-1].upto < 1:
        steps.append(WaveShare("all", 1.0))
    if policy.holdout_percent:
        steps.append(
            WaveShare(f"hold-out {percent(policy.holdout_percent)}", policy.holdout_percent / 100, is_holdout=True)
        )
    return tuple(steps)
