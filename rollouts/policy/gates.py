"""Verdicts of gates. Data in, judgement out; ``services/gates.py`` fetches the data and stores the judgement.

The unit is the device: a value per device before and after its switch. A gate **passes** when the whole 95 % interval
lies below its bound, is **harm** when the one-sided test at 1 % says the truth lies above it, and **holds** in between.
What cannot be decided stops the rollout and says why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from rollouts.models import Verdict
from rollouts.policy.metrics import METRICS, Control, DeviceWindows, Judgement, MetricInfo
from rollouts.policy.statistics import Sample, sample_of
from rollouts.policy.types import GateSpec
from rollouts.policy.verdicts import TWO, Difference, cannot, decide, floor_of, hold, more_devices

MINIMUM_WINDOWS: Final = 6  # of a device, before and after its switch (ml-methods 10)
SHORT_HISTORY: Final = 2  # windows before its switch below which a device has no past at all


def judge_change(
    spec: GateSpec,
    *,
    treated: Sequence[DeviceWindows],
    control: Sequence[DeviceWindows],
    control_kind: Literal["matched", "holdout"],
    wave_device_count: int,
) -> Judgement:
    """Judge a metric by the best comparison its devices allow; the text says which one that was.

    In this order: the change on the treated devices less the change on the control devices, or alone where there is no
    control; where too few devices have the past for that, the levels of both side by side; then the change against
    what little past there is; then the ceiling alone. A device's past cannot grow once it has switched, so nothing is
    gained by waiting for it: of the comparisons that stand in, the first that comes to a verdict decides.

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
    arms = _Arms(
        treated=[d for d in treated if d.after is not None and d.after_count >= MINIMUM_WINDOWS],
        control=[d for d in control if d.after is not None and d.after_count >= MINIMUM_WINDOWS],
        control_kind=control_kind,
    )
    comparisons = _comparisons(arms, minimum) if spec.harm_bound is not None else []
    if not comparisons and (spec.ceiling is None or len(arms.treated) < minimum):
        return _too_few(spec, arms, minimum)
    judgements = [_judge_bound(spec, info, comparison) for comparison in comparisons]
    if not (comparisons and comparisons[0].is_full):
        judgements = [one for one in judgements if one.verdict not in _WAITING][:1] or judgements[:1]
    if spec.ceiling is None:
        return judgements[0]
    ceiling = _judge_ceiling(spec, info, arms.treated, spec.ceiling)
    if not judgements or (judgements[0].verdict in _WAITING and not comparisons[0].is_full):
        if spec.harm_bound is not None:
            why = (
                "no comparison comes to a verdict" if judgements else "there is no control and no past to compare with"
            )
            ceiling = replace(ceiling, text=f"{ceiling.text} Judged by its ceiling alone: {why}.")
        return ceiling
    return min((judgements[0], ceiling), key=_severity)


_WAITING: Final = frozenset({Verdict.MISSING_DEVICES, Verdict.NOT_ENOUGH_DATA})


@dataclass(frozen=True)
class _Arms:
    """Devices with enough windows since the switch."""

    treated: list[DeviceWindows]
    control: list[DeviceWindows]
    control_kind: Literal["matched", "holdout"]


@dataclass(frozen=True)
class _Comparison:
    """Who is compared with whom. ``is_level``: by what they are, not by how they changed."""

    kind: Control
    treated: list[DeviceWindows]
    control: list[DeviceWindows]
    text: str
    is_level: bool = False
    is_full: bool = False


def _comparisons(arms: _Arms, minimum: int) -> list[_Comparison]:
    """The comparisons there can be, best first; only the full one where it is possible."""
    full = _change_of(arms, MINIMUM_WINDOWS)
    # A control that is there and has no past is not passed over for the devices' own past alone.
    if len(full.treated) >= minimum and (full.control or len(arms.control) < TWO):
        return [full]
    found = []
    pasts = sum(_has_history(device, MINIMUM_WINDOWS) for device in (*arms.treated, *arms.control))
    past = f"{pasts} of {len(arms.treated) + len(arms.control)} devices have a past of {MINIMUM_WINDOWS} windows"
    if len(arms.treated) >= minimum and len(arms.control) >= TWO:
        peers = _peers(arms)
        if len(peers.treated) >= minimum:
            text = f"Compared side by side with {len(peers.control)} control devices: {past}."
            found.append(_Comparison(arms.control_kind, peers.treated, peers.control, text, is_level=True))
    short = _change_of(arms, SHORT_HISTORY)
    if len(short.treated) >= minimum:
        text = f"{short.text.removesuffix('.')}, as far as it goes: {past}."
        found.append(replace(short, text=text, is_full=False))
    return found


def _change_of(arms: _Arms, windows: int) -> _Comparison:
    treated = [device for device in arms.treated if _has_history(device, windows)]
    control = [device for device in arms.control if _has_history(device, windows)]
    if len(control) < TWO:
        text = "Compared with the devices' own past alone."
        return _Comparison("own_history", treated, [], text, is_full=True)
    text = f"Compared with {len(control)} control devices, each with its own past."
    return _Comparison(arms.control_kind, treated, control, text, is_full=True)


def _peers(arms: _Arms) -> _Arms:
    """The devices that have others of their kind on the other side: at least two of the control."""
    sizes = Counter(device.stratum for device in arms.control)
    kinds = {device.stratum for device in arms.treated if sizes[device.stratum] >= TWO}
    return replace(
        arms,
        treated=[device for device in arms.treated if device.stratum in kinds],
        control=[device for device in arms.control if device.stratum in kinds],
    )


def _too_few(spec: GateSpec, arms: _Arms, minimum: int) -> Judgement:
    """No comparison yet: devices are missing, or those that are there have nothing to be compared with."""
    present = len(arms.treated)
    if present < minimum:
        text = (
            f"{more_devices(minimum - present)}: {present} of {minimum} have {MINIMUM_WINDOWS} windows since their "
            "switch."
        )
    else:
        present = sum(_has_history(device, SHORT_HISTORY) for device in arms.treated)
        text = (
            f"{present} of {minimum} devices that are needed have {SHORT_HISTORY} windows before their switch, and "
            "fewer than two control devices have data."
        )
    kind: Control = "ceiling" if spec.harm_bound is None else "own_history"
    if spec.harm_bound is not None and len(arms.control) >= TWO:
        kind = arms.control_kind
    return hold(
        spec,
        kind=kind,
        verdict=Verdict.MISSING_DEVICES,
        counts=(present, len(arms.control)),
        needed=minimum,
        present=present,
        text=text,
    )


def _has_history(device: DeviceWindows, windows: int) -> bool:
    return device.before is not None and device.before_count >= windows


def _severity(judgement: Judgement) -> int:
    order = [Verdict.CANNOT_COMPUTE, Verdict.HARM, Verdict.MISSING_DEVICES, Verdict.NOT_ENOUGH_DATA, Verdict.PASS]
    return order.index(judgement.verdict)


def _judge_bound(spec: GateSpec, info: MetricInfo, comparison: _Comparison) -> Judgement:
    bound = spec.harm_bound
    assert bound is not None
    treated, control = comparison.treated, comparison.control
    value = _level if comparison.is_level else _change
    values = [value(device, info) for device in treated]
    references = [value(device, info) for device in control]
    if any(not math.isfinite(one) for one in (*values, *references)):
        when = "" if comparison.is_level else " before the switch"
        return cannot(spec, f"the {info.title}{when} was 0, so its change has no ratio")
    few = _few(spec, info, treated, kind=comparison.kind, control_count=len(control))
    if few is not None:
        return few
    floors = (floor_of(treated, info, bound), floor_of(control, info, bound))
    if comparison.is_level:
        difference = _side_by_side(comparison, values, references, floors)
    else:
        difference = _minus(
            sample_of(values, _windows(treated), variance_floor=floors[0]),
            sample_of(references, _windows(control), variance_floor=floors[1]),
        )
    judged = decide(
        info,
        difference=difference,
        tested=math.log1p(bound) if info.is_relative else bound,
        bound=bound,
        kind=comparison.kind,
        treated_count=len(treated),
        control_count=len(control),
        show=math.expm1 if info.is_relative else float,
        unit=info.unit,
        is_change=True,
    )
    return replace(judged, text=f"{judged.text} {comparison.text}")


def _judge_ceiling(spec: GateSpec, info: MetricInfo, treated: list[DeviceWindows], ceiling: float) -> Judgement:
    few = _few(spec, info, treated, kind="ceiling", control_count=0)
    if few is not None:
        return few
    levels = [device.after for device in treated if device.after is not None]
    level = sample_of(levels, _windows(treated), variance_floor=floor_of(treated, info, ceiling))
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


def _few(
    spec: GateSpec, info: MetricInfo, treated: list[DeviceWindows], *, kind: Control, control_count: int
) -> Judgement | None:
    """Why these devices cannot be judged yet; None when they can."""
    samples = sum(device.samples for device in treated)
    if samples < spec.minimum_samples:
        return hold(
            spec,
            kind=kind,
            verdict=Verdict.NOT_ENOUGH_DATA,
            counts=(len(treated), control_count),
            needed=spec.minimum_samples,
            present=samples,
            text=f"{samples:,} of {spec.minimum_samples:,} samples.",
        )
    if len(treated) < TWO and not info.is_proportion:
        return hold(
            spec,
            kind=kind,
            verdict=Verdict.MISSING_DEVICES,
            counts=(len(treated), control_count),
            needed=TWO,
            present=len(treated),
            text="One device alone has no spread to judge by.",
        )
    return None


def _level(device: DeviceWindows, info: MetricInfo) -> float:
    assert device.after is not None
    if not info.is_relative:
        return device.after
    return math.log(device.after) if device.after > 0 else math.nan


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


def _side_by_side(
    comparison: _Comparison, values: Sequence[float], references: Sequence[float], floors: tuple[float, float]
) -> Difference:
    """Levels of treated devices less those of the control devices of their own kind (hardware, region).

    The first wave has a device of every kind however rare it is, the control has mostly the common ones: without this
    the difference between kinds would pass for one between versions.
    """
    kinds = np.array([device.stratum for device in comparison.control])
    of_control = np.asarray(references, dtype=np.float64)
    means = {kind: float(of_control[kinds == kind].mean()) for kind in set(kinds.tolist())}
    rest = of_control - np.array([means[kind] for kind in kinds.tolist()])
    spread = float((rest**2).sum()) / max(1, len(rest) - len(means))
    own = Counter(device.stratum for device in comparison.treated)
    weight = sum((count / len(values)) ** 2 / int((kinds == kind).sum()) for kind, count in own.items())
    less = [value - means[device.stratum] for value, device in zip(values, comparison.treated, strict=True)]
    sample = sample_of(less, _windows(comparison.treated), variance_floor=floors[0])
    return Difference(
        sample.mean,
        sample.variance_of_mean + max(spread * weight, floors[1]),
        max(1, len(values) + len(references) - 1 - len(means)),
        sample.observations + _windows(comparison.control),
    )


def _windows(devices: Sequence[DeviceWindows]) -> int:
    return sum(device.after_count for device in devices)
