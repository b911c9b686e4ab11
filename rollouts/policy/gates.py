"""Verdicts of gates. Data in, judgement out; ``services/gates.py`` fetches the data and stores the judgement.

The unit is the device: a value per device before and after its switch. A gate **passes** when the whole 95 % interval
lies below its bound, is **harm** when the one-sided test at 1 % says the truth lies above it, and **holds** in between.
What cannot be decided stops the rollout and says why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

from rollouts.models import Verdict
from rollouts.policy.metrics import METRICS, Control, DeviceWindows, Judgement, MetricInfo
from rollouts.policy.statistics import Sample, sample_of
from rollouts.policy.types import GateSpec
from rollouts.policy.verdicts import TWO, Difference, cannot, decide, floor_of, hold

MINIMUM_WINDOWS: Final = 6  # of a device, before and after its switch (ml-methods 10)


def judge_change(
    spec: GateSpec,
    *,
    treated: Sequence[DeviceWindows],
    control: Sequence[DeviceWindows],
    control_kind: Literal["matched", "holdout"],
    wave_device_count: int,
) -> Judgement:
    """Judge a metric by its change on the treated devices, less the change on the control devices.

    Args:
        spec: the gate.
        treated: devices that switched and have windows since.
        control: devices that did not; fewer than two means each device's own history alone.
        control_kind: what ``control`` is.
        wave_device_count: treated devices there can be; the minimum is never above it.
    """
    info = METRICS[spec.metric]
    numbers = [value for device in (*treated, *control) for value in (device.before, device.after) if value is not None]
    if any(not math.isfinite(value) or (value < 0 and spec.metric != "temperature") for value in numbers):
        return cannot(spec, "a device reported a value that is negative or not a number")
    minimum = max(1, min(spec.minimum_devices, wave_device_count))
    with_level = [d for d in treated if d.after is not None and d.after_count >= MINIMUM_WINDOWS]
    with_change = [d for d in with_level if _has_history(d)]
    changed_control = [
        d for d in control if d.after is not None and d.after_count >= MINIMUM_WINDOWS and _has_history(d)
    ]
    has_control = len(changed_control) >= TWO
    kind: Control = control_kind if has_control else "own_history"
    if spec.harm_bound is None or (not with_change and spec.ceiling is not None):
        kind = "ceiling"
    usable = with_level if kind == "ceiling" else with_change
    samples = sum(device.samples for device in usable)
    if len(usable) < minimum:
        return hold(
            spec,
            kind=kind,
            verdict=Verdict.MISSING_DEVICES,
            counts=(len(usable), len(changed_control)),
            needed=minimum,
            present=len(usable),
            text=f"{minimum - len(usable)} more devices are needed: {len(usable)} of {minimum} have {MINIMUM_WINDOWS} "
            f"windows {'' if kind == 'ceiling' else 'before and '}since their switch.",
        )
    if samples < spec.minimum_samples:
        return hold(
            spec,
            kind=kind,
            verdict=Verdict.NOT_ENOUGH_DATA,
            counts=(len(usable), len(changed_control)),
            needed=spec.minimum_samples,
            present=samples,
            text=f"{samples:,} of {spec.minimum_samples:,} samples.",
        )
    judgements = []
    if kind != "ceiling":
        judgements.append(_judge_bound(spec, info, usable, changed_control if has_control else [], kind))
    if spec.ceiling is not None:
        judgements.append(_judge_ceiling(spec, info, with_level, spec.ceiling))
    return min(judgements, key=_severity)


def _has_history(device: DeviceWindows) -> bool:
    return device.before is not None and device.before_count >= MINIMUM_WINDOWS


def _severity(judgement: Judgement) -> int:
    order = [Verdict.CANNOT_COMPUTE, Verdict.HARM, Verdict.MISSING_DEVICES, Verdict.NOT_ENOUGH_DATA, Verdict.PASS]
    return order.index(judgement.verdict)


def _judge_bound(
    spec: GateSpec, info: MetricInfo, treated: list[DeviceWindows], control: list[DeviceWindows], kind: Control
) -> Judgement:
    bound = spec.harm_bound
    assert bound is not None
    changes = [_change(device, info) for device in treated]
    references = [_change(device, info) for device in control]
    if any(not math.isfinite(value) for value in (*changes, *references)):
        return cannot(spec, f"the {info.title} before the switch was 0, so its change has no ratio")
    own = sample_of(changes, _windows(treated), variance_floor=floor_of(treated, info, bound))
    if own.count < TWO and not info.is_proportion:
        return hold(
            spec,
            kind=kind,
            verdict=Verdict.MISSING_DEVICES,
            counts=(own.count, len(references)),
            needed=TWO,
            present=own.count,
            text="One device alone has no spread to judge by.",
        )
    difference = _minus(own, sample_of(references, _windows(control), variance_floor=floor_of(control, info, bound)))
    tested = math.log1p(bound) if info.is_relative else bound
    return decide(
        info,
        difference=difference,
        tested=tested,
        bound=bound,
        kind=kind,
        treated_count=own.count,
        control_count=len(references),
        show=math.expm1 if info.is_relative else float,
        unit=info.unit,
        is_change=True,
    )


def _judge_ceiling(spec: GateSpec, info: MetricInfo, treated: list[DeviceWindows], ceiling: float) -> Judgement:
    levels = [device.after for device in treated if device.after is not None]
    level = sample_of(levels, _windows(treated), variance_floor=floor_of(treated, info, ceiling))
    if level.count < TWO and not info.is_proportion:
        return hold(
            spec,
            kind="ceiling",
            verdict=Verdict.MISSING_DEVICES,
            counts=(level.count, 0),
            needed=TWO,
            present=level.count,
            text="One device alone has no spread to judge by.",
        )
    difference = Difference(level.mean, level.variance_of_mean, max(1, level.count - 1), level.observations)
    return decide(
        info,
        difference=difference,
        tested=ceiling,
        bound=ceiling,
        kind="ceiling",
        treated_count=level.count,
        control_count=0,
        show=float,
        unit=info.level_unit,
        is_change=False,
    )


def _change(device: DeviceWindows, info: MetricInfo) -> float:
    assert device.before is not None
    assert device.after is not None
    if not info.is_relative:
        return device.after - device.before
    if device.before <= 0 or device.after <= 0:
        return math.nan
    return math.log(device.after / device.before)


def _minus(treated: Sample, control: Sample) -> Difference:
    if control.count == 0:
        return Difference(treated.mean, treated.variance_of_mean, max(1, treated.count - 1), treated.observations)
    return Difference(
        treated.mean - control.mean,
        treated.variance_of_mean + control.variance_of_mean,
        max(1, treated.count + control.count - 2),
        treated.observations + control.observations,
    )


def _windows(devices: Sequence[DeviceWindows]) -> int:
    return sum(device.after_count for device in devices)
