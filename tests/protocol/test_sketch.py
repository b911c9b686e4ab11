"""Sketches: edges, ties, missing and outside values; merging is exact and order-free."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.profile import class_edges, feature_profile, profile_check, quantile_edges, reference_profile
from flotilla_protocol.sketch import HistogramSketch, SketchBuilder, sketch_merge

EDGES = [0.0, 1.0, 2.0, 4.0]
# Integers and halves: sums are exact in floating point, so that equality is the test.
values = st.lists(st.integers(-3, 12).map(lambda number: number / 2), max_size=60)


def built(numbers: list[float], edges: list[float] | None = None) -> HistogramSketch:
    builder = SketchBuilder("f", edges or EDGES)
    builder.update(numbers)
    return builder.sketch()


@pytest.mark.parametrize(("value", "bin_index"), [(0.0, 0), (0.99, 0), (1.0, 1), (2.0, 2), (3.9, 2), (4.0, 2)])
def test_a_value_falls_in_the_bin_whose_lower_edge_it_reaches(value: float, bin_index: int) -> None:
    assert built([value]).counts == [int(index == bin_index) for index in range(3)]


def test_values_outside_are_counted_beside_the_bins_and_not_summed() -> None:
    found = built([-0.1, 4.1, math.inf, -math.inf, math.nan, 1.0])
    assert (found.below, found.above, found.missing) == (2, 2, 1)
    assert found.counts == [0, 1, 0]
    assert found.sums == [0.0, 1.0, 0.0]
    assert found.total == 6


def test_equal_edges_make_empty_bins_and_lose_nothing() -> None:
    found = built([1.0, 1.0, 2.0], [0.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    assert found.counts == [0, 0, 0, 2, 1]


def test_a_constant_reference_keeps_its_value_inside() -> None:
    found = built([3.0, 3.0, 2.9, 3.1], [3.0] * 61)
    assert (sum(found.counts), found.below, found.above) == (2, 1, 1)


@given(values, values, values)
def test_merging_equals_seeing_all_values_in_any_order(one: list[float], two: list[float], three: list[float]) -> None:
    parts = [built(one), built(two), built(three)]
    whole = built(one + two + three)
    assert sketch_merge(parts) == whole
    assert sketch_merge(parts[::-1]) == whole
    assert sketch_merge([sketch_merge(parts[:2]), parts[2]]) == whole


@given(values)
def test_every_value_is_counted_exactly_once(numbers: list[float]) -> None:
    assert built(numbers).total == len(numbers)


@settings(max_examples=50)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=80))
def test_a_profile_of_anything_holds_all_its_rows(numbers: list[float]) -> None:
    found = feature_profile("f", "input", np.array(numbers, dtype=np.float64))
    assert sum(found.counts) + found.missing + found.below + found.above == found.row_count == len(numbers)
    assert len(found.edges) == 61
    assert all(math.isfinite(total) for total in found.sums)


@pytest.mark.parametrize("edges", [[1.0], [1.0, 0.0], [0.0, math.nan], [0.0, math.inf], [[0.0, 1.0]]])
def test_edges_that_are_none_are_refused(edges: list[float]) -> None:
    with pytest.raises(ValueError, match="edges"):
        SketchBuilder("f", edges)


def test_sketches_of_different_features_or_bins_do_not_merge() -> None:
    with pytest.raises(ValueError, match="one feature"):
        sketch_merge([])
    with pytest.raises(InvalidMessageError) as refused:
        sketch_merge([built([1.0]), built([1.0], [0.0, 1.0])])
    assert refused.value.field == "sketches[1].counts"


def test_six_neighbouring_bins_are_a_decile_of_the_reference() -> None:
    found = feature_profile("f", "input", np.random.default_rng(1).lognormal(size=60_000))
    deciles = np.array(found.counts).reshape(10, 6).sum(axis=1)
    assert np.abs(deciles - 6_000).max() <= 1


def test_quantile_edges_of_nothing_are_still_edges() -> None:
    assert len(quantile_edges(np.array([np.nan]))) == 61


def test_a_reference_profile_covers_inputs_and_outputs() -> None:
    rng = np.random.default_rng(2)
    scores = rng.dirichlet(np.ones(10), size=300)
    found = reference_profile(rng.random((300, 1, 8, 8)), scores)
    assert [(feature.name, feature.kind) for feature in found.features] == [
        ("brightness", "input"),
        ("contrast", "input"),
        ("sharpness", "input"),
        ("confidence", "output"),
        ("margin", "output"),
        ("class", "output"),
    ]
    classes = found.feature("class")
    assert classes is not None
    assert classes.edges == class_edges(10).tolist()
    assert classes.counts == np.bincount(scores.argmax(axis=1), minlength=10).tolist()
    profile_check(found)


def test_sums_per_bin_give_the_mean_exactly() -> None:
    numbers = np.random.default_rng(3).lognormal(size=5_000)
    found = feature_profile("f", "input", numbers)
    assert sum(found.sums) / sum(found.counts) == pytest.approx(numbers.mean())
