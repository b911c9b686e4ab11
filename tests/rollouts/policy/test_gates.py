"""Verdicts below, at and above a bound, with nothing, with too little, and with nonsense."""

from __future__ import annotations

import math

import pytest

from rollouts.models import Verdict
from rollouts.policy.ceilings import failures_allowed, judge_disagreement, judge_failures
from rollouts.policy.gates import judge_change
from rollouts.policy.metrics import DeviceWindows, Judgement, ShadowWindow, format_interval
from rollouts.policy.types import GateSpec

FAILED = GateSpec(name="f", metric="failed_deployments", ceiling=0.2)
SLOW = GateSpec(name="l", metric="latency_p95", harm_bound=0.2, minimum_samples=10)
ERRORS = GateSpec(name="e", metric="error_rate", harm_bound=0.01, ceiling=0.05, minimum_samples=10)
SHADOW = GateSpec(name="d", metric="disagreement", ceiling=0.05, minimum_samples=50)


@pytest.mark.parametrize(
    ("failed", "devices", "verdict"),
    [
        (0, 0, Verdict.PASS),
        (0, 5, Verdict.PASS),
        (1, 5, Verdict.PASS),  # 1 of 5 is 20 %, the ceiling: not beyond it
        (2, 5, Verdict.HARM),
        (1, 1, Verdict.PASS),  # one may always fail
        (2, 10, Verdict.PASS),
        (3, 10, Verdict.HARM),
    ],
)
def test_a_share_of_failures_is_tolerated_and_no_more(failed: int, devices: int, verdict: Verdict) -> None:
    judged = judge_failures(FAILED, failed=failed, ended=failed, wave_device_count=devices)
    assert judged.verdict == verdict


def test_counts_that_contradict_each_other_stop() -> None:
    judged = judge_failures(FAILED, failed=3, ended=2, wave_device_count=5)
    assert judged.verdict == Verdict.CANNOT_COMPUTE
    assert judged.stops


def test_how_many_may_fail() -> None:
    assert [failures_allowed(0.1, count) for count in (1, 9, 10, 20, 29, 30)] == [1, 1, 1, 2, 2, 3]


def device(
    number: int, before: float | None, after: float | None, *, windows: int = 12, samples: int = 600
) -> DeviceWindows:
    return DeviceWindows(number, before, windows if before is not None else 0, after, windows, samples)


def judge(
    spec: GateSpec, treated: list[DeviceWindows], control: list[DeviceWindows] | None = None, devices: int = 10
) -> Judgement:
    return judge_change(spec, treated=treated, control=control or [], control_kind="matched", wave_device_count=devices)


def spread(before: float, factor: float, count: int = 6) -> list[DeviceWindows]:
    return [device(n, before, before * factor * (1 + 0.01 * (n - count / 2))) for n in range(count)]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(0.8, Verdict.PASS), (1.0, Verdict.PASS), (1.2, Verdict.NOT_ENOUGH_DATA), (2.0, Verdict.HARM)],
)
def test_a_change_is_judged_against_its_bound(factor: float, verdict: Verdict) -> None:
    judged = judge(SLOW, spread(10, factor), spread(10, 1.0))
    assert judged.control == "matched"
    assert judged.verdict == verdict or (factor == 1.2 and judged.verdict == Verdict.MISSING_DEVICES)


def test_what_happens_to_everybody_is_nobodys_fault() -> None:
    judged = judge(SLOW, spread(10, 2.0), spread(10, 2.0))
    assert judged.verdict == Verdict.PASS
    assert judged.estimate == pytest.approx(0, abs=1e-6)


def test_without_control_a_devices_own_history_is_used_and_named() -> None:
    judged = judge(SLOW, spread(10, 2.0), spread(10, 1.0)[:1])
    assert (judged.control, judged.verdict, judged.control_count) == ("own_history", Verdict.HARM, 0)


def test_without_history_a_ceiling_is_used_and_named() -> None:
    treated = [device(n, None, 0.001, samples=5_000) for n in range(5)]
    assert (judge(ERRORS, treated).control, judge(ERRORS, treated).verdict) == ("ceiling", Verdict.PASS)
    bad = [device(n, None, 0.2 + n / 1000, samples=5_000) for n in range(5)]
    assert judge(ERRORS, bad).verdict == Verdict.HARM


def young(number: int, level: float, factor: float, *, past: int = 0, stratum: int = 0) -> DeviceWindows:
    """A device that switched before it had a past of six windows."""
    before = level if past else None
    return DeviceWindows(number, before, past, level * factor * (1 + 0.01 * (number % 5 - 2)), 12, 600, stratum)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, Verdict.PASS), (2.0, Verdict.HARM)])
def test_devices_without_a_past_are_compared_side_by_side_with_the_control(factor: float, verdict: Verdict) -> None:
    treated = [young(n, 10, factor) for n in range(6)]
    judged = judge(SLOW, treated, [young(n, 10, 1.0) for n in range(100, 108)])
    assert (judged.control, judged.verdict, judged.control_count) == ("matched", verdict, 8)
    assert "side by side with 8 control devices: 0 of 14 devices have a past of 6 windows" in judged.text


def test_side_by_side_means_with_devices_of_the_same_kind() -> None:
    """The canary has one slow device of three, the control one of nine: the new version is not to blame."""
    control = [young(100 + n, 10, 1.0, stratum=0) for n in range(16)]
    control += [young(200 + n, 40, 1.0, stratum=1) for n in range(2)]
    treated = [young(n, 40 if n % 3 == 0 else 10, 1.0, stratum=int(n % 3 == 0)) for n in range(6)]
    judged = judge(SLOW, treated, control)
    assert judged.verdict == Verdict.PASS
    assert judged.estimate == pytest.approx(0, abs=0.02)


def test_a_kind_without_control_is_left_out_of_the_comparison_side_by_side() -> None:
    treated = [*(young(n, 10, 1.0) for n in range(5)), young(9, 500, 1.0, stratum=7)]
    judged = judge(SLOW, treated, [young(n, 10, 1.0) for n in range(100, 108)])
    assert (judged.verdict, judged.treated_count) == (Verdict.PASS, 5)
    alone = judge(SLOW, [young(n, 500, 1.0, stratum=7) for n in range(5)], [young(n, 10, 1.0) for n in range(100, 108)])
    assert alone.verdict == Verdict.MISSING_DEVICES


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, Verdict.PASS), (2.5, Verdict.HARM)])
def test_where_side_by_side_tells_nothing_the_short_past_of_each_device_decides(
    factor: float, verdict: Verdict
) -> None:
    levels = [3.0, 10.0, 30.0, 90.0, 5.0, 50.0]
    treated = [young(n, level, factor, past=3) for n, level in enumerate(levels)]
    control = [young(100 + n, level, 1.0, past=3) for n, level in enumerate(levels)]
    judged = judge(SLOW, treated, control)
    assert (judged.control, judged.verdict) == ("matched", verdict)
    assert "each with its own past, as far as it goes" in judged.text
    alone = judge(SLOW, treated)
    assert (alone.control, alone.verdict) == ("own_history", verdict)
    assert "own past alone, as far as it goes: 0 of 6 devices have a past of 6 windows" in alone.text


def test_a_full_past_is_preferred_and_said() -> None:
    judged = judge(SLOW, [*spread(10, 1.0), young(20, 10, 3.0)], spread(10, 1.0))
    assert (judged.verdict, judged.treated_count) == (Verdict.PASS, 6)
    assert judged.text.endswith("Compared with 6 control devices, each with its own past.")


def test_a_control_without_a_past_is_not_passed_over_for_the_devices_own_past() -> None:
    """Those that switched late have a past; the control, counted from the middle of the switches, has none."""
    treated = [*spread(10, 1.0, 3), *(young(10 + n, 10, 1.0) for n in range(3))]
    judged = judge(SLOW, treated, [young(100 + n, 10, 1.0) for n in range(8)])
    assert "3 of 14 devices have a past" in judged.text
    assert (judged.treated_count, judged.control_count) == (6, 8)


def test_with_nothing_to_compare_with_the_ceiling_decides_or_the_gate_holds() -> None:
    treated = [young(n, 10, 1.0) for n in range(6)]
    assert judge(SLOW, treated).verdict == Verdict.MISSING_DEVICES
    assert "0 of 3 devices that are needed have 2 windows before their switch" in judge(SLOW, treated).text
    both = GateSpec(name="l", metric="latency_p95", harm_bound=0.2, ceiling=50, minimum_samples=10)
    judged = judge(both, treated)
    assert (judged.verdict, judged.control) == (Verdict.PASS, "ceiling")
    assert "ceiling alone: there is no control and no past" in judged.text
    assert judge(both, [young(n, 100, 1.0) for n in range(6)]).verdict == Verdict.HARM


def test_a_ceiling_stands_in_for_comparisons_that_tell_nothing() -> None:
    both = GateSpec(name="l", metric="latency_p95", harm_bound=0.2, ceiling=500, minimum_samples=10)
    levels = [3.0, 10.0, 30.0, 90.0, 5.0, 50.0]
    judged = judge(both, [young(n, level, 1.0) for n, level in enumerate(levels)],
                   [young(100 + n, level, 1.0) for n, level in enumerate(levels)])  # fmt: skip
    assert (judged.verdict, judged.control) == (Verdict.PASS, "ceiling")
    assert "no comparison comes to a verdict" in judged.text


def test_an_interval_is_never_without_width_and_nothing_is_minus_nothing() -> None:
    judged = judge(ERRORS, [device(n, 0.0, 0.0, samples=2_000_000) for n in range(5)])
    assert judged.low is not None
    assert judged.high is not None
    assert judged.low < 0 < judged.high
    assert "-0.0 %" not in judged.text
    assert "[-0.0001 %, +0.0001 %]" in judged.text
    none_of_ten = judge_disagreement(SHADOW, windows=shadow(0, windows=10), wave_device_count=6)
    assert none_of_ten.high is not None
    assert 3 / 1_200 < none_of_ten.high < 10 / 1_200, "some three events in all that was seen might have been missed"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.1, 0.02, 0.18), "10.0 %, 95 % interval [2.0 %, 18.0 %]"),
        ((-0.00001, -0.0004, 0.0003), "0.00 %, 95 % interval [-0.04 %, 0.03 %]"),
        ((0.0, -3e-7, 3e-7), "0.0000 %, 95 % interval [-0.0001 %, 0.0001 %]"),
    ],
)
def test_an_interval_has_the_decimals_it_needs(values: tuple[float, float, float], text: str) -> None:
    assert format_interval(*values, "ratio") == text


def test_no_errors_among_few_inferences_is_not_yet_a_pass() -> None:
    assert judge(ERRORS, [device(n, 0.0, 0.0, samples=10) for n in range(5)]).verdict in {
        Verdict.NOT_ENOUGH_DATA,
        Verdict.MISSING_DEVICES,
    }
    assert judge(ERRORS, [device(n, 0.0, 0.0, samples=2_000) for n in range(5)]).verdict == Verdict.PASS


def test_missing_devices_are_counted() -> None:
    judged = judge(SLOW, spread(10, 1.0, 2))
    assert (judged.verdict, judged.needed, judged.present) == (Verdict.MISSING_DEVICES, 3, 2)
    assert judge(SLOW, []).verdict == Verdict.MISSING_DEVICES
    assert judge(SLOW, [device(n, 10, 10, windows=3) for n in range(5)]).verdict == Verdict.MISSING_DEVICES


def test_the_minimum_is_never_more_than_there_are_devices() -> None:
    assert judge(SLOW, spread(10, 1.0, 2), spread(10, 1.0), devices=2).verdict != Verdict.CANNOT_COMPUTE
    assert "1 of 2" not in judge(SLOW, spread(10, 1.0, 2), spread(10, 1.0), devices=2).text


def test_missing_samples_are_counted() -> None:
    spec = GateSpec(name="l", metric="latency_p95", harm_bound=0.2, minimum_samples=100_000)
    judged = judge(spec, spread(10, 1.0))
    assert (judged.verdict, judged.needed, judged.needed_unit) == (Verdict.NOT_ENOUGH_DATA, 100_000, "rows")


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_nonsense_stops(value: float) -> None:
    judged = judge(SLOW, [*spread(10, 1.0), device(99, 10, value)])
    assert (judged.verdict, judged.stops) == (Verdict.CANNOT_COMPUTE, True)


def test_a_ratio_to_nothing_stops() -> None:
    assert judge(SLOW, [device(n, 0.0, 5.0) for n in range(5)]).verdict == Verdict.CANNOT_COMPUTE


def test_cold_is_not_nonsense() -> None:
    spec = GateSpec(name="t", metric="temperature", harm_bound=5, minimum_samples=1)
    assert judge(spec, [device(n, -20.0, -19.5 + n / 100) for n in range(6)]).verdict == Verdict.PASS


def shadow(rate_of_20: int, devices: int = 6, windows: int = 30) -> list[ShadowWindow]:
    return [
        ShadowWindow(number, 20, rate_of_20 if window % 2 else 0)
        for number in range(devices)
        for window in range(windows)
    ]


@pytest.mark.parametrize(("rate", "verdict"), [(0, Verdict.PASS), (1, Verdict.PASS), (6, Verdict.HARM)])
def test_disagreement_is_judged_by_its_ceiling(rate: int, verdict: Verdict) -> None:
    judged = judge_disagreement(SHADOW, windows=shadow(rate), wave_device_count=6)
    assert (judged.verdict, judged.control) == (verdict, "ceiling")


def test_disagreement_waits_for_devices_and_comparisons() -> None:
    few = judge_disagreement(SHADOW, windows=shadow(0, devices=2), wave_device_count=6)
    assert (few.verdict, few.needed, few.present) == (Verdict.MISSING_DEVICES, 3, 2)
    little = judge_disagreement(SHADOW, windows=shadow(0, windows=2)[:5:2], wave_device_count=2)
    assert little.verdict in {Verdict.NOT_ENOUGH_DATA, Verdict.MISSING_DEVICES}
    assert judge_disagreement(SHADOW, windows=[], wave_device_count=6).verdict == Verdict.MISSING_DEVICES
    assert judge_disagreement(SHADOW, windows=[ShadowWindow(1, 0, 0)], wave_device_count=6).needed == 3


def test_more_disagreements_than_comparisons_stop() -> None:
    judged = judge_disagreement(SHADOW, windows=[ShadowWindow(1, 5, 6)], wave_device_count=6)
    assert judged.verdict == Verdict.CANNOT_COMPUTE
