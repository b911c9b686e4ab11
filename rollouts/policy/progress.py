"""What happens to a wave next: go on, hold, ask a person, or stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from rollouts.models import Verdict
from rollouts.policy.types import Policy

Step = Literal["go_on", "hold", "ask", "stop"]


@dataclass(frozen=True)
class WaveFacts:
    """Where the devices of a released wave are.

    Args:
        number: of the wave.
        device_count: without skipped and cancelled ones.
        proven: with the evidence the policy requires.
        failed: for good.
        moving: reachable and not ended: they hold the wave.
        unproven: claimed for longer than soak and ``timeouts.proof_s``: they count as not proven and hold no longer.
        unreachable: not ended and not heard from, or not accepted (quarantined): they stay offered and hold nothing.
    """

    number: int
    device_count: int
    proven: int
    failed: int
    moving: int
    unproven: int
    unreachable: int

    @property
    def judged(self) -> int:
        """Devices whose outcome is known."""
        return self.proven + self.failed + self.unproven


@dataclass(frozen=True)
class GateState:
    """A gate's newest verdict in the wave."""

    name: str
    metric: str
    verdict: str
    text: str


@dataclass(frozen=True)
class Decision:
    """The step and its reason in words. ``gate`` is the one that stops or holds."""

    step: Step
    text: str
    gate: GateState | None = None


def wave_decide(
    policy: Policy, facts: WaveFacts, gates: Sequence[GateState], *, judged_from: datetime, now: datetime
) -> Decision:
    """Decide about a released wave.

    A gate that says harm, or cannot be computed, stops whatever the devices do. A wave goes on when every reachable
    device has ended, enough of them are proven, and every gate passes.

    Args:
        policy: the rollout's.
        facts: about the wave.
        gates: newest verdicts; none were evaluated for a wave nobody of which can be reached.
        judged_from: when the wave was released, or last let go on by a person.
        now: the time.
    """
    for gate in gates:
        if gate.verdict in {Verdict.HARM, Verdict.CANNOT_COMPUTE}:
            return Decision("stop", gate.text, gate)
    holding = _why_hold(policy, facts, gates)
    if holding is None:
        return Decision("go_on", "")
    if now - judged_from >= timedelta(seconds=policy.patience_s):
        return Decision("ask", f"No verdict for {_duration(policy.patience_s)}. {holding.text}", holding.gate)
    return holding


def _why_hold(policy: Policy, facts: WaveFacts, gates: Sequence[GateState]) -> Decision | None:
    if facts.judged == 0 and facts.moving == 0:
        # Nobody there. Later waves were preceded by judged ones; the first must not pass on nothing.
        if facts.number > 1 or facts.device_count == 0:
            return None
        return Decision("hold", "None of the devices of the first wave can be reached.")
    if facts.moving:
        return Decision("hold", f"{facts.moving} of {facts.device_count} devices are still on their way.")
    share = 100 * facts.proven / facts.judged if facts.judged else 0.0
    if share < policy.proven_percent:
        text = f"{facts.proven} of {facts.judged} devices are proven; {policy.proven_percent:g} % are needed."
        return Decision("hold", text)
    waiting = [gate for gate in gates if gate.verdict != Verdict.PASS]
    if waiting:
        return Decision("hold", f"Gate {waiting[0].name}: {waiting[0].text}", waiting[0])
    return None


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
