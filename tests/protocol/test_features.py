"""Features: what they mean, and that both ends compute the same."""

from __future__ import annotations

import numpy as np
import pytest

from flotilla_protocol.features import (
    image_layout,
    input_features,
    output_features,
    probabilities,
    score_kind,
)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((5, 1, 8, 8), "NCHW"),
        ((5, 3, 8, 8), "NCHW"),
        ((5, 8, 8, 3), "NHWC"),
        ((5, 8, 8), "NHW"),
        ((5, 64), "flat"),
        ((5, 7, 8, 8), "flat"),
    ],
)
def test_the_axes_say_what_is_a_picture(shape: tuple[int, ...], layout: str) -> None:
    assert image_layout(shape) == layout


def test_brightness_contrast_and_sharpness_of_known_pictures() -> None:
    flat = np.full((2, 2), 0.5)
    stripes = np.array([[0.0, 1.0], [0.0, 1.0]])
    found = input_features(np.stack([flat, stripes])[:, None])
    assert found["brightness"].tolist() == [0.5, 0.5]
    assert found["contrast"].tolist() == [0.0, 0.5]
    # Two horizontal steps of 1 and two vertical ones of 0.
    assert found["sharpness"].tolist() == [0.0, 0.5]


def test_every_layout_of_the_same_picture_has_the_same_features() -> None:
    grey = np.random.default_rng(1).random((4, 6, 7))
    expected = input_features(grey)
    for other in (grey[:, None], grey[..., None]):
        found = input_features(other)
        assert all(np.allclose(found[name], expected[name]) for name in expected)


def test_one_row_at_a_time_gives_exactly_what_a_batch_gives() -> None:
    rows = np.random.default_rng(2).random((20, 1, 8, 8)).astype(np.float32)
    batch = input_features(rows)
    for index in range(len(rows)):
        single = input_features(rows[index : index + 1])
        assert all(single[name][0] == batch[name][index] for name in batch)


def test_inputs_that_are_no_pictures_have_no_sharpness() -> None:
    assert input_features(np.ones((3, 10))).keys() == {"brightness", "contrast"}


def test_confidence_and_margin_of_known_scores() -> None:
    found = output_features(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    assert found["confidence"].tolist() == [0.7, 0.5]
    assert found["margin"].tolist() == pytest.approx([0.5, 0.25])
    assert found["class"].tolist() == [0.0, 2.0]


def test_probabilities_and_logits_are_told_apart() -> None:
    assert score_kind(np.array([[0.2, 0.8], [1.0, 0.0]])) == "probability"
    assert score_kind(np.array([[0.2, 0.9]])) == "logit"
    assert score_kind(np.array([[-2.0, 3.0]])) == "logit"
    assert score_kind(np.array([[0.3], [0.9]])) == "probability"


def test_huge_logits_do_not_overflow() -> None:
    found = probabilities(np.array([[1000.0, 0.0, -1000.0]]), "logit")
    assert found.tolist() == [[1.0, 0.0, 0.0]]


def test_one_column_is_the_second_of_two_classes() -> None:
    assert probabilities(np.array([[0.8]]), "probability").tolist()[0] == pytest.approx([0.2, 0.8])
    assert probabilities(np.array([[0.0]]), "logit").tolist()[0] == pytest.approx([0.5, 0.5])
