"""Sentences about rollouts, for screens and the API."""

from __future__ import annotations

from typing import Final

from rollouts.models import RolloutState as R
from rollouts.models import Verdict
from rollouts.policy.progress import GateState
from rollouts.policy.types import Policy

LEFT_OUT: Final[dict[str, str]] = {
    "already_running": "run this version already",
    "quarantined": "are quarantined",
    "busy": "are held by another rollout of this model",
    "no_variant": "have hardware no variant fits",
    "cannot_attest": "cannot sign reports, which the policy requires",
}

_STANDING: Final[dict[str, str]] = {
    R.DRAFT: "Waits to be started.",
    R.AWAITING_APPROVAL: "Waits for approval.",
    R.SCHEDULED: "Starts as scheduled.",
    R.PLANNING: "Is being planned.",
    R.PAUSED: "Paused; resume to go on.",
    R.COMPLETED: "Nothing follows.",
    R.HALTED: "Halted; resume, roll back or cancel.",
    R.ROLLED_BACK: "Nothing follows.",
    R.CANCELLED: "Nothing follows.",
    R.CANCELLING: "Devices that have begun are being stopped.",
    R.ROLLING_BACK: "Devices are going back to what they ran before.",
}


def next_text(
    *,
    state: str,
    policy: Policy,
    released_wave: int,
    wave_count: int,
    moving: int,
    proven: int,
    judged: int,
    gates: list[GateState],
) -> str:
    """What comes next, in one sentence.

    Args:
        state: the rollout's.
        policy: the rollout's.
        released_wave: its number.
        wave_count: how many there are.
        moving: devices of the released wave that have not ended, where some of them can be reached; 0 when none can,
            since then they hold nothing.
        proven: of the released wave.
        judged: devices of the released wave that have ended.
        gates: newest verdicts of the released wave.
    """
    if state in _STANDING:
        return _STANDING[state]
    if state == R.NEEDS_DECISION:
        return f"Wave {released_wave} has no verdict: decide to resume, roll back or cancel."
    after = f"then wave {released_wave + 1} is released" if released_wave < wave_count else "then the rollout completes"
    if moving:
        who = "1 device" if moving == 1 else f"{moving:,} devices"
        return f"Waiting for devices: {who} of wave {released_wave} on the way; {after}."
    if judged and 100 * proven / judged < policy.proven_percent:
        return f"{proven} of {judged} devices are proven, {policy.proven_percent:g} % are needed; {after}."
    holding = [gate for gate in gates if gate.verdict != Verdict.PASS]
    if holding:
        return f"Gate {holding[0].name} holds: {holding[0].text} {after.capitalize()}."
    return f"Wave {released_wave} passes at the next look; {after}."


def is_holding(*, state: str, gates: list[GateState], is_waiting: bool) -> bool:
    """Whether a gate of the released wave holds it; while its devices are on their way, they are waited for instead."""
    waits = {Verdict.MISSING_DEVICES, Verdict.NOT_ENOUGH_DATA}
    is_judged = state == R.NEEDS_DECISION or (state == R.RUNNING and not is_waiting)
    return is_judged and any(gate.verdict in waits for gate in gates)
