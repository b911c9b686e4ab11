"""From numbers to verdicts: what every kind of gate shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rollouts.models import Verdict
from rollouts.policy.metrics import (
    METRICS,
    Control,
    DeviceWindows,
    Judgement,
    MetricInfo,
    format_interval,
    format_value,
)
from rollouts.policy.statistics import DISPLAY_ALPHA, HARM_ALPHA, harm_evidence, sequence_half_width, t_inflation
from rollouts.policy.types import GateSpec

TWO: Final = 2  # devices below which there is no variance
_PLANNED_WINDOWS: Final = 12  # windows per device at which the interval is tightest
HARM_LOG: Final = -math.log(HARM_ALPHA)


@dataclass(frozen=True)
class Difference:
    """An estimate, its squared standard error and its degrees of freedom, on the scale it is tested on."""

    value: float
    variance: float
    degrees: int
    observations: int

    def evidence(self, bound: float) -> float:
        """Log evidence that the truth is above ``bound``."""
        variance = self.variance * t_inflation(HARM_ALPHA, self.degrees)
        return harm_evidence(self.value - bound, variance, abs(bound))

    def half_width(self, planned: int) -> float:
        """Of the 95 % confidence sequence."""
        variance = self.variance * t_inflation(DISPLAY_ALPHA, self.degrees)
        return sequence_half_width(variance, self.observations, planned)


def decide(
    info: MetricInfo,
    *,
    difference: Difference,
    tested: float,
    bound: float,
    kind: Control,
    treated_count: int,
    control_count: int,
    show: Callable[[float], float],
    unit: str,
    is_change: bool,
) -> Judgement:
    """The verdict on an estimate.

    Args:
        info: the metric.
        difference: the estimate, on the scale it is tested on.
        tested: the bound on that scale.
        bound: the bound as people gave it.
        kind: the control used.
        treated_count: devices treated.
        control_count: devices compared with.
        show: from the tested scale to the shown one.
        unit: of the shown values.
        is_change: a change is shown with its sign.
    """
    half = difference.half_width(_PLANNED_WINDOWS * max(1, treated_count + control_count))
    estimate = show(difference.value)
    low, high = show(difference.value - half), show(difference.value + half)
    if info.is_proportion and not is_change:
        low, high = max(0.0, low), min(1.0, high)
    interval = format_interval(estimate, low, high, unit, signed=is_change)
    needed = None
    limit = f"{'harm bound' if is_change else 'ceiling'} of {format_value(bound, unit, signed=is_change)}"
    if difference.evidence(tested) >= HARM_LOG:
        verdict, text = Verdict.HARM, f"{capital(info.title)} is worse: {interval}, beyond the {limit}."
    elif difference.value + half < tested:
        verdict, text = Verdict.PASS, f"{capital(info.title)}: {interval}, below the {limit}."
    else:
        # How many times the data it takes for the interval to end at the bound, at this estimate.
        gap = tested - difference.value
        missing = math.ceil(treated_count * ((half / gap) ** 2 - 1)) if gap > 0 else 0
        few = "1 more device" if missing == 1 else f"{missing:,} more devices"
        more = f"about {few}, or as much longer, would tell" if missing else "more data is needed"
        verdict = Verdict.MISSING_DEVICES if missing else Verdict.NOT_ENOUGH_DATA
        needed = treated_count + missing if missing else None
        text = f"{capital(info.title)}: {interval} still includes the {limit}; {more}."
    return Judgement(
        verdict=verdict,
        control=kind,
        text=text,
        estimate=estimate,
        low=low,
        high=high,
        bound=bound,
        treated_count=treated_count,
        control_count=control_count,
        needed=needed,
        present=treated_count if needed else None,
    )


def floor_of(devices: Sequence[DeviceWindows], info: MetricInfo, bound: float) -> float:
    """The least squared standard error these devices can have.

    A proportion of n samples cannot be known better than its binomial error, with one event more than was seen (so
    that "none so far" is not "none ever"); other values not better than a thousandth of what is judged.
    """
    if info.is_proportion:
        samples = max(1, sum(device.samples for device in devices))
        events = sum((device.after or 0.0) * device.samples for device in devices)
        share = min(0.5, (events + 1) / (samples + 2))
        return share * (1 - share) / samples
    return (bound * 1e-3) ** 2


def cannot(spec: GateSpec, why: str) -> Judgement:
    """What cannot be decided: it stops the rollout and says why."""
    text = f"{capital(METRICS[spec.metric].title)} cannot be computed: {why}."
    return Judgement(
        verdict=Verdict.CANNOT_COMPUTE, control="ceiling", text=text, bound=spec.harm_bound or spec.ceiling
    )


def hold(
    spec: GateSpec,
    *,
    kind: Control,
    verdict: Verdict,
    counts: tuple[int, int],
    needed: int,
    present: int,
    text: str,
) -> Judgement:
    """A gate that waits: for devices, or for samples. ``counts``: treated and control devices so far."""
    return Judgement(
        verdict=verdict,
        control=kind,
        text=text,
        bound=spec.ceiling if kind == "ceiling" else spec.harm_bound,
        treated_count=counts[0],
        control_count=counts[1],
        needed=needed,
        present=present,
        needed_unit="devices" if verdict == Verdict.MISSING_DEVICES else "rows",
    )


def more_devices(count: int) -> str:
    """``3 more devices are needed``."""
    return "1 more device is needed" if count == 1 else f"{count:,} more devices are needed"


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
