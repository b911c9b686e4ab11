"""Drift's arithmetic against the tables it was chosen by, and its edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from telemetry.policy.drift import (
    ALERT,
    QUIET,
    WARN,
    Counts,
    Scores,
    benjamini_hochberg,
    chi_square_tail,
    drift_judge,
    drift_scores,
)

Floats = NDArray[np.float64]
BINS = 60


def _counts(edges: Floats, samples: Floats, *, missing: int = 0) -> Counts:
    """Each row of ``samples`` ``[S, N]`` counted on the edges."""
    segments, bins = samples.shape[0], edges.size - 1
    counted, sums = np.zeros((segments, bins), dtype=np.int64), np.zeros((segments, bins))
    for at, row in enumerate(samples):
        inside = row[(row >= edges[0]) & (row <= edges[-1])]
        places = np.minimum(np.searchsorted(edges, inside, side="right") - 1, bins - 1)
        counted[at] = np.bincount(places, minlength=bins)
        sums[at] = np.bincount(places, weights=inside, minlength=bins)
    return Counts(
        bins=counted,
        sums=sums,
        missing=np.full(segments, missing, dtype=np.int64),
        below=(samples < edges[0]).sum(axis=1),
        above=(samples > edges[-1]).sum(axis=1),
    )


@pytest.fixture
def random() -> np.random.Generator:
    """One of its own for each test, so that a test draws the same in whatever order they run."""
    return np.random.default_rng(20261120)


@pytest.fixture(scope="module")
def reference() -> tuple[Floats, Counts]:
    """Lognormal, 200,000 rows, as in the table."""
    values = np.random.default_rng(20261119).lognormal(0, 1, 200_000)
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1))
    return edges, _counts(edges, values[None, :])


def _scored(reference: tuple[Floats, Counts], current: Counts, *, is_categorical: bool = False) -> Scores:
    return drift_scores(edges=reference[0], reference=reference[1], current=current, is_categorical=is_categorical)


@pytest.mark.parametrize(
    ("shift", "psi", "ks"),
    [(0.0, 0.0001, 0.0021), (0.05, 0.0026, 0.0211), (0.1, 0.0093, 0.0395), (0.3, 0.0858, 0.1204)],
)
def test_a_shifted_lognormal_scores_as_measured(
    random: np.random.Generator, reference: tuple[Floats, Counts], shift: float, psi: float, ks: float
) -> None:
    scores = _scored(reference, _counts(reference[0], random.lognormal(shift, 1, (4, 100_000))))
    assert scores.psi.mean() == pytest.approx(psi, rel=0.06, abs=0.002)
    assert scores.ks_distance.mean() == pytest.approx(ks, abs=0.004)


@pytest.mark.parametrize(
    ("rows", "mean_psi", "false_alarms"),
    [(50, 0.227, 0.86), (100, 0.096, 0.39), (200, 0.046, 0.023), (300, 0.031, 0.001)],
)
def test_without_drift_psi_is_noise_as_simulated_and_the_excess_is_not(
    random: np.random.Generator,
    reference: tuple[Floats, Counts],
    rows: int,
    mean_psi: float,
    false_alarms: float,
) -> None:
    scores = _scored(reference, _counts(reference[0], random.lognormal(0, 1, (1_500, rows))))
    assert scores.psi.mean() == pytest.approx(mean_psi, rel=0.08)
    assert (scores.psi > 0.1).mean() == pytest.approx(false_alarms, abs=0.04)
    if rows >= 200:
        assert abs(scores.psi_excess.mean()) < 0.002


def test_ten_thousand_undisturbed_devices_raise_no_alarm(
    random: np.random.Generator, reference: tuple[Floats, Counts]
) -> None:
    scores = _scored(reference, _counts(reference[0], random.lognormal(0, 1, (10_000, 300))))
    [judged] = drift_judge([scores])
    assert [one for one in judged if one.level != QUIET] == []
    # Raw p-values below 5 % are, as they must be, about 5 %.
    assert (scores.p_shape < 0.05).mean() == pytest.approx(0.05, abs=0.01)


def test_a_harmless_shift_in_very_many_rows_is_significant_and_quiet(
    random: np.random.Generator, reference: tuple[Floats, Counts]
) -> None:
    scores = _scored(reference, _counts(reference[0], random.lognormal(0.05, 1, (3, 100_000))))
    [judged] = drift_judge([scores])
    assert scores.p_shape.max() < 1e-10
    assert [one.level for one in judged] == [QUIET] * 3


def test_drift_is_found_where_it_is_and_nowhere_else(
    random: np.random.Generator, reference: tuple[Floats, Counts]
) -> None:
    samples = random.lognormal(0, 1, (50, 1_000))
    samples[7] = random.lognormal(0.4, 1, 1_000)
    samples[8] = random.lognormal(0.8, 1, 1_000)
    [judged] = drift_judge([_scored(reference, _counts(reference[0], samples))])
    levels = {at: one.level for at, one in enumerate(judged) if one.level}
    assert levels == {7: WARN, 8: ALERT}
    assert judged[8].cause == "shape"


def test_values_outside_the_reference_count_in_the_outer_groups_and_as_a_rate(
    random: np.random.Generator, reference: tuple[Floats, Counts]
) -> None:
    edges, _ = reference
    beyond = np.full((1, 1_000), edges[-1] * 2)
    scores = _scored(reference, _counts(edges, beyond))
    assert scores.outside_ratio[0] == 1.0
    assert scores.psi[0] > 5  # all rows in the tenth decile, and not: nothing to compare
    assert scores.mean_current[0] == pytest.approx(edges[-1])
    [[judgement]] = drift_judge([scores])
    assert judgement.level == ALERT


def test_rarely_outside_is_told_by_the_rate_although_the_shape_holds(
    random: np.random.Generator, reference: tuple[Floats, Counts]
) -> None:
    edges, _ = reference
    samples = random.lognormal(0, 1, (1, 20_000))
    samples[0, :1_000] = edges[-1] + 1  # 5 %: between warn at 2 % and alert at 10 %
    [[judgement]] = drift_judge([_scored(reference, _counts(edges, samples))])
    assert (judgement.level, judgement.cause) == (WARN, "outside")


def test_missing_values_are_found_even_when_nothing_else_is_there(
    random: np.random.Generator, reference: tuple[Floats, Counts]
) -> None:
    current = _counts(reference[0], random.lognormal(0, 1, (1, 10)), missing=990)
    scores = _scored(reference, current)
    [[judgement]] = drift_judge([scores])
    assert scores.missing_ratio[0] == pytest.approx(0.99)
    assert (judgement.level, judgement.cause) == (ALERT, "missing")


@pytest.mark.parametrize(("rows", "level"), [(0, None), (1, None), (299, None), (300, ALERT)])
def test_below_three_hundred_rows_there_is_no_verdict(
    random: np.random.Generator, reference: tuple[Floats, Counts], rows: int, level: int | None
) -> None:
    scores = _scored(reference, _counts(reference[0], random.lognormal(3, 1, (1, rows))))
    [[judgement]] = drift_judge([scores])
    assert judgement.level == level


def test_a_constant_reference_finds_any_other_value() -> None:
    edges = np.full(BINS + 1, 0.5)
    reference = _counts(edges, np.full((1, 1_000), 0.5))
    same, other = np.full((1, 500), 0.5), np.full((1, 500), 0.6)
    scores = drift_scores(
        edges=edges, reference=reference, current=_counts(edges, np.vstack([same, other])), is_categorical=False
    )
    [judged] = drift_judge([scores])
    assert [one.level for one in judged] == [QUIET, ALERT]
    assert np.isfinite(scores.mean_shift).all()


class TestClasses:
    def _scores(self, reference: list[int], current: list[list[int]]) -> Scores:
        def counts(rows: list[list[int]]) -> Counts:
            bins = np.array(rows, dtype=np.int64)
            none = np.zeros(len(rows), dtype=np.int64)
            return Counts(bins=bins, sums=bins * np.arange(bins.shape[1]), missing=none, below=none, above=none)

        edges = np.arange(len(reference) + 1) - 0.5
        return drift_scores(edges=edges, reference=counts([reference]), current=counts(current), is_categorical=True)

    def test_the_jensen_shannon_distance_is_the_natural_one(self) -> None:
        scores = self._scores([500, 500], [[1_000, 0]])
        expected = math.sqrt((0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25) + math.log(1 / 0.75)) / 2)
        assert scores.js_distance[0] == pytest.approx(expected)
        assert self._scores([1_000, 0], [[0, 1_000]]).js_distance[0] == pytest.approx(math.sqrt(math.log(2)))

    def test_a_moved_mix_alerts_and_the_same_mix_is_quiet(self, random: np.random.Generator) -> None:
        reference = [100] * 10
        same = random.multinomial(5_000, [0.1] * 10).tolist()
        moved = random.multinomial(5_000, [0.37] + [0.07] * 9).tolist()
        [judged] = drift_judge([self._scores(reference, [same, moved])])
        assert [one.level for one in judged] == [QUIET, ALERT]

    def test_a_rare_class_that_happens_not_to_occur_is_quiet(self, random: np.random.Generator) -> None:
        reference = [9_970, 10, 20]
        [judged] = drift_judge([self._scores(reference, [[400, 0, 0], [398, 1, 1]])])
        assert [one.level for one in judged] == [QUIET, QUIET]


@pytest.mark.parametrize(
    ("x", "degrees", "tail"),
    [(3.841459, 1, 0.05), (16.918978, 9, 0.05), (23.209251, 10, 0.01), (0.0, 9, 1.0), (5.0, 0, 1.0), (1e6, 9, 0.0)],
)
def test_the_chi_square_tail_is_the_published_one(x: float, degrees: int, tail: float) -> None:
    [found] = chi_square_tail(np.array([x]), np.array([degrees])).tolist()
    assert found == pytest.approx(tail, abs=1e-6)


def test_benjamini_hochberg_takes_the_largest_p_below_its_line() -> None:
    # Lines at 5 %: 0.0125, 0.025, 0.0375, 0.05; the third passes, and with it the second, which alone would not.
    assert benjamini_hochberg(np.array([0.010, 0.026, 0.037, 0.9]), 0.05) == 0.037
    assert benjamini_hochberg(np.array([0.5, 0.6]), 0.05) == -1.0
    assert benjamini_hochberg(np.array([]), 0.05) == -1.0
