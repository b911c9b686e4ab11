"""Whether a plan may be carried out: every wave needs something to be judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollouts.policy.metrics import METRICS
from rollouts.policy.types import GateSpec, Policy


@dataclass(frozen=True)
class PlannedWave:
    """A wave as planned.

    Args:
        number: from 1.
        name: as the strategy calls it.
        device_count: devices in it.
        previous_count: of those, how many run an earlier version of the model.
        is_holdout: whether it is the hold-out.
    """

    number: int
    name: str
    device_count: int
    previous_count: int
    is_holdout: bool = False


def control_of(wave: PlannedWave, waves: Sequence[PlannedWave]) -> str:
    """What a wave will be compared with: ``matched``, ``holdout``, ``own_history`` or ``ceiling``."""
    later = [other for other in waves if other.number > wave.number and other.previous_count]
    if wave.previous_count == 0:
        return "ceiling"
    if any(not other.is_holdout for other in later):
        return "matched"
    return "holdout" if later else "own_history"


def why_not_judged(gate: GateSpec, wave: PlannedWave, policy: Policy) -> str | None:
    """Why a gate has nothing to judge in a wave; None when it has."""
    info = METRICS[gate.metric]
    if info.source == "shadow" and policy.shadow_every == 0:
        return "shadow_every is 0, so the two versions are never compared"
    if not info.needs_previous or wave.previous_count > 0:
        return None
    if info.source == "shadow":
        return "no device of this wave runs an earlier version to compare with"
    if gate.ceiling is None:
        return "no device of this wave runs an earlier version, so there is no control and no history"
    return None


def refusals(policy: Policy, waves: Sequence[PlannedWave]) -> dict[str, str]:
    """What forbids the plan: field -> text. Empty when it may go on."""
    if not any(wave.device_count for wave in waves):
        return {"selector": "No device would get this version: none matches, or all run it already."}
    problems: dict[str, str] = {}
    for index, gate in enumerate(policy.gates):
        if gate.is_optional:
            continue
        for wave in waves:
            why = why_not_judged(gate, wave, policy) if wave.device_count else None
            if why is not None:
                problems[f"policy.gates[{index}]"] = (
                    f"Gate {gate.name!r} cannot judge wave {wave.number} ({wave.name}): {why}. "
                    "Give it a ceiling, mark it optional, or leave it out."
                )
                break
    return problems
