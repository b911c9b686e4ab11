"""The arithmetic of the gates against known values, and its error rates and power by seeded simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rollouts.models import Verdict
from rollouts.policy.ceilings import judge_disagreement
from rollouts.policy.gates import judge_change
from rollouts.policy.metrics import DeviceWindows, ShadowWindow
from rollouts.policy.statistics import (
    betting_evidence,
    betting_lower_bound,
    harm_evidence,
    sample_of,
    sequence_half_width,
    t_inflation,
    t_quantile,
)
from rollouts.policy.types import GateSpec

HARM = -math.log(0.01)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 10, 30, 1000])
@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.995, 0.9999])
def test_the_t_quantile_is_right(degrees: int, probability: float) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(stats.t.ppf(probability, degrees), rel=1e-7)


def test_the_t_inflation_falls_to_one() -> None:
    assert t_inflation(0.01, 1) > t_inflation(0.01, 4) > t_inflation(0.01, 100) > 1
    assert t_inflation(0.01, 100_000) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("difference", "variance", "tau"), [(0.3, 0.01, 0.2), (-0.3, 0.01, 0.2), (0.0, 1.0, 0.1)])
def test_harm_evidence_is_the_integral_it_stands_for(difference: float, variance: float, tau: float) -> None:
    theta = np.linspace(0, 10 * tau, 200_001)
    density = 2 * np.exp(-0.5 * (theta / tau) ** 2) / (tau * math.sqrt(2 * math.pi))
    ratio = np.exp(theta * difference / variance - theta**2 / (2 * variance))
    expected = math.log(float(np.trapezoid(density * ratio, theta)))
    assert harm_evidence(difference, variance, tau) == pytest.approx(expected, abs=1e-4)


def test_harm_evidence_does_not_underflow_far_on_the_good_side() -> None:
    assert harm_evidence(-100.0, 1e-4, 0.1) < -10


def test_the_interval_narrows_with_data_and_is_wider_than_a_single_look() -> None:
    wide, narrow = sequence_half_width(1 / 50, 50, 500), sequence_half_width(1 / 500, 500, 500)
    assert wide > narrow > 1.96 / math.sqrt(500)


def test_a_sample_of_equal_values_keeps_its_floor() -> None:
    assert sample_of([0.0] * 5, 50, variance_floor=0.01).variance_of_mean == 0.01
    assert math.isnan(sample_of([], 0).mean)


@pytest.mark.parametrize("order", [1, -1])
def test_betting_does_not_care_about_the_order(order: int) -> None:
    values = [0.0, 0.2, 0.1, 0.0, 0.5][::order]
    assert betting_evidence(values, 0.05) == pytest.approx(betting_evidence(sorted(values), 0.05))
    assert betting_evidence([], 0.05) == 0


def test_betting_against_the_truth_rarely_wins() -> None:
    """At a mean exactly at the ceiling, looked at after every window: at most 1 % of the runs ever cry harm."""
    rng = np.random.default_rng(7)
    crossed = 0
    runs = 400
    for _ in range(runs):
        values = rng.binomial(6, 0.04, size=300) / 6
        crossed += any(betting_evidence(values[:n].tolist(), 0.04) >= HARM for n in range(20, 301, 20))
    assert crossed / runs <= 0.01


def test_the_lower_bound_of_betting_is_where_its_evidence_ends() -> None:
    rng = np.random.default_rng(7)
    values = (rng.binomial(6, 0.12, size=300) / 6).tolist()

    bound = betting_lower_bound(values, 0.025, at_least=0.04)

    assert 0.04 < bound < np.mean(values)
    assert betting_evidence(values, bound) >= -math.log(0.025) > betting_evidence(values, bound + 1e-3)


def test_the_lower_bound_of_betting_is_rarely_above_the_truth() -> None:
    rng = np.random.default_rng(7)
    runs = 200
    above = sum(
        betting_lower_bound((rng.binomial(6, 0.05, size=200) / 6).tolist(), 0.025, at_least=0.001) > 0.05
        for _ in range(runs)
    )
    assert above / runs <= 0.025


def _disagreement(rng: np.random.Generator, *, rate: float, devices: int, windows: int) -> tuple[str, int]:
    """One rollout's gate, looked at after every window of 20 comparisons... of 6 per device."""
    spec = GateSpec(name="d", metric="disagreement", ceiling=0.04, minimum_samples=100)
    rates = np.clip(rng.normal(rate, rate * 0.3, devices), 0, 1)
    seen: list[ShadowWindow] = []
    for window in range(1, windows + 1):
        seen += [ShadowWindow(device, 6, int(rng.binomial(6, rates[device]))) for device in range(devices)]
        verdict = judge_disagreement(spec, windows=seen, wave_device_count=devices).verdict
        if verdict in {Verdict.HARM, Verdict.PASS}:
            return verdict, window
    return "hold", windows


@pytest.mark.parametrize(
    ("rate", "devices", "harm", "passed"),
    [(0.015, 9, (0, 0.0), (0.85, 1)), (0.04, 9, (0, 0.03), (0, 0.15)), (0.10, 9, (0.95, 1), (0, 0.0))],
)
def test_disagreement_stops_the_bad_and_lets_the_good_pass(
    rate: float, devices: int, harm: tuple[float, float], passed: tuple[float, float]
) -> None:
    rng = np.random.default_rng(11)
    ends = [_disagreement(rng, rate=rate, devices=devices, windows=20) for _ in range(60)]
    share = {kind: sum(verdict == kind for verdict, _ in ends) / len(ends) for kind in (Verdict.HARM, Verdict.PASS)}
    assert harm[0] <= share[Verdict.HARM] <= harm[1]
    assert passed[0] <= share[Verdict.PASS] <= passed[1]


def _latency(rng: np.random.Generator, *, slower: float, treated: int, control: int) -> str:
    """Devices differ by half their latency, the world moves each by 5 %, windows wobble by 15 %; 24 looks."""
    spec = GateSpec(name="l", metric="latency_p95", harm_bound=0.25)
    count = treated + control
    level = rng.normal(2, 0.5, count)
    before = level[:, None] + rng.normal(0, 0.15, (count, 12))
    effect = np.where(np.arange(count) < treated, math.log1p(slower), 0) + rng.normal(0, 0.05, count)
    after = level[:, None] + effect[:, None] + rng.normal(0, 0.15, (count, 24))
    for look in range(6, 25):
        windows = [
            DeviceWindows(
                device,
                float(np.exp(before[device, -min(12, look) :]).mean()),
                min(12, look),
                float(np.exp(after[device, :look]).mean()),
                look,
                look * 60,
            )
            for device in range(count)
        ]
        verdict = judge_change(
            spec,
            treated=windows[:treated],
            control=windows[treated:],
            control_kind="matched",
            wave_device_count=treated,
        ).verdict
        if verdict in {Verdict.HARM, Verdict.PASS}:
            return str(verdict)
    return "hold"


@pytest.mark.parametrize(
    ("slower", "harm", "passed"), [(0.0, (0, 0.0), (0.9, 1)), (0.25, (0, 0.05), (0, 0.1)), (1.0, (0.95, 1), (0, 0.0))]
)
@pytest.mark.parametrize("control", [0, 12])
def test_latency_stops_the_slow_and_lets_the_equal_pass(
    slower: float, harm: tuple[float, float], passed: tuple[float, float], control: int
) -> None:
    rng = np.random.default_rng(13)
    ends = [_latency(rng, slower=slower, treated=6, control=control) for _ in range(60)]
    share = {kind: ends.count(kind) / len(ends) for kind in ("harm", "pass")}
    assert harm[0] <= share["harm"] <= harm[1]
    assert passed[0] <= share["pass"] <= passed[1]
