"""Gates that are judged by a ceiling alone: shadow disagreement and failed deployments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rollouts.models import Verdict
from rollouts.policy.metrics import METRICS, DeviceWindows, Judgement, ShadowWindow, format_interval, format_value
from rollouts.policy.statistics import DISPLAY_ALPHA, betting_evidence, betting_lower_bound, sample_of
from rollouts.policy.types import GateSpec
from rollouts.policy.verdicts import HARM_LOG, Difference, cannot, decide, floor_of, hold, more_devices


def judge_disagreement(spec: GateSpec, *, windows: Sequence[ShadowWindow], wave_device_count: int) -> Judgement:
    """Judge the shadow comparison: how often the new version answers other than the previous one, against a ceiling.

    Both versions saw the same inputs on the same device, so the devices' differences cancel. Harm is decided by
    betting on one value per device and window (exact for any distribution); the interval and passing use the
    devices' means.

    Args:
        spec: the gate; its ceiling is a ratio.
        windows: every window since the switch in which both ran.
        wave_device_count: treated devices there can be.
    """
    ceiling = spec.ceiling
    assert ceiling is not None
    info = METRICS[spec.metric]
    if any(w.count < 0 or not 0 <= w.disagreements <= w.count for w in windows):
        return cannot(spec, "a device reported more disagreements than comparisons")
    windows = [window for window in windows if window.count]
    by_device: dict[int, list[ShadowWindow]] = {}
    for window in windows:
        by_device.setdefault(window.device_id, []).append(window)
    devices = [
        DeviceWindows(
            device_id=device_id,
            before=None,
            before_count=0,
            after=sum(w.disagreements for w in own) / sum(w.count for w in own),
            after_count=len(own),
            samples=sum(w.count for w in own),
        )
        for device_id, own in by_device.items()
    ]
    minimum = max(1, min(spec.minimum_devices, wave_device_count))
    samples = sum(device.samples for device in devices)
    if len(devices) < minimum:
        return hold(
            spec,
            kind="ceiling",
            verdict=Verdict.MISSING_DEVICES,
            counts=(len(devices), 0),
            needed=minimum,
            present=len(devices),
            text=f"{more_devices(minimum - len(devices))}: {len(devices)} of {minimum} compare versions.",
        )
    level = sample_of([d.after or 0.0 for d in devices], len(windows), variance_floor=floor_of(devices, info, ceiling))
    difference = Difference(level.mean, level.variance_of_mean, max(1, level.count - 1), level.observations)
    judged = decide(
        info,
        difference=difference,
        tested=ceiling,
        bound=ceiling,
        kind="ceiling",
        treated_count=level.count,
        control_count=0,
        show=float,
        unit="ratio",
        is_change=False,
    )
    ratios = [window.disagreements / window.count for window in windows]
    evidence = betting_evidence(ratios, ceiling)
    assert judged.estimate is not None
    assert judged.low is not None
    assert judged.high is not None
    if evidence >= HARM_LOG and judged.estimate > ceiling:
        # The interval of the test that decided; its lower end lies above the ceiling, as the verdict says.
        low = betting_lower_bound(ratios, DISPLAY_ALPHA / 2, at_least=ceiling)
        estimate, high = judged.estimate, judged.high
        judged = replace(judged, low=low)
        shown = format_interval(estimate, low, high, "ratio", of=" of inputs")
        text = (
            f"The new version disagrees with the previous one on {shown}, "
            f"beyond the ceiling of {format_value(ceiling, 'ratio')} "
            f"({samples:,} comparisons on {len(devices)} devices)."
        )
        return _with(judged, Verdict.HARM, text)
    if samples < spec.minimum_samples:
        text = f"{samples:,} of {spec.minimum_samples:,} comparisons."
        return _with(judged, Verdict.NOT_ENOUGH_DATA, text, needed=spec.minimum_samples, present=samples)
    if judged.verdict == Verdict.HARM:
        # The approximation says harm and the exact test does not yet: the exact one decides, so it holds.
        return _with(judged, Verdict.NOT_ENOUGH_DATA, "The comparisons lean towards harm; more are needed to be sure.")
    return judged


def _with(
    judged: Judgement, verdict: Verdict, text: str, *, needed: int | None = None, present: int | None = None
) -> Judgement:
    assert judged.low is not None
    return replace(
        judged,
        verdict=verdict,
        text=text,
        low=max(0.0, judged.low),
        needed=needed,
        present=present,
        needed_unit="rows",
    )


def failures_allowed(ceiling_ratio: float, device_count: int) -> int:
    """How many of ``device_count`` may fail. One always may: 1 of 5 at 20 % is not beyond, nor is the first of 3."""
    return max(1, math.floor(ceiling_ratio * device_count + 1e-9))


def judge_failures(spec: GateSpec, *, failed: int, ended: int, wave_device_count: int) -> Judgement:
    """Judge the share of a wave's devices that failed, against a ceiling of all its devices.

    Args:
        spec: the gate; its ceiling is a ratio.
        failed: deployments that failed for good.
        ended: deployments that ended or are proven, the failed included.
        wave_device_count: devices of the wave that were not skipped or cancelled.
    """
    ceiling = spec.ceiling
    assert ceiling is not None
    if failed < 0 or ended < failed:
        return cannot(spec, "the counts of deployments contradict each other")
    allowed = failures_allowed(ceiling, wave_device_count)
    share = failed / wave_device_count if wave_device_count else 0.0
    said = f"{failed} of {wave_device_count} devices failed ({format_value(share, 'ratio')}); {allowed} may"
    if failed > allowed:
        verdict, text = Verdict.HARM, f"{said}."
    elif wave_device_count - ended + failed > allowed and failed:
        verdict, text = Verdict.PASS, f"{said}; {wave_device_count - ended} have not ended yet."
    else:
        verdict, text = Verdict.PASS, f"{said}."
    return Judgement(verdict=verdict, control="ceiling", text=text, estimate=share, bound=ceiling, treated_count=ended)
