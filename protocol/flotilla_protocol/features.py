"""The features a model's inputs and outputs are watched by.

One code for both ends: the control plane cuts reference profiles with it, the agent sketches with it.
Everything is computed in float64, so that equal inputs give equal features on every machine.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Layout = Literal["NCHW", "NHWC", "NHW", "flat"]
ScoreKind = Literal["probability", "logit"]

INPUT_FEATURES = ("brightness", "contrast", "sharpness")
OUTPUT_FEATURES = ("confidence", "margin", "class")

_CHANNELS = frozenset({1, 3, 4})
_SUM_TOLERANCE = 1e-3
_IMAGE_RANK, _GREY_RANK = 4, 3


def image_layout(shape: tuple[int, ...]) -> Layout:
    """How the axes of a batch of inputs are meant.

    ``[N, C, H, W]`` and ``[N, H, W, C]`` are told apart by an axis of 1, 3 or 4 channels (the first wins),
    ``[N, H, W]`` is grey, everything else is ``flat``: it has brightness and contrast, and no neighbours.
    """
    if len(shape) == _IMAGE_RANK and shape[1] in _CHANNELS:
        return "NCHW"
    if len(shape) == _IMAGE_RANK and shape[3] in _CHANNELS:
        return "NHWC"
    return "NHW" if len(shape) == _GREY_RANK else "flat"


def input_features(inputs: NDArray[np.generic]) -> dict[str, FloatArray]:
    """Brightness, contrast and sharpness of each input.

    Args:
        inputs: ``[N, ...]``, numbers in the model's own input scale.

    Returns:
        ``brightness`` (mean), ``contrast`` (standard deviation) and, for images, ``sharpness`` (mean absolute
        difference of horizontal and vertical neighbours), each float64 ``[N]``. NaN inputs give NaN.
    """
    values: FloatArray = np.asarray(inputs, dtype=np.float64)
    rows = values.shape[0]
    flat = values.reshape(rows, -1)
    features: dict[str, FloatArray] = {"brightness": flat.mean(axis=1), "contrast": flat.std(axis=1)}
    layout = image_layout(values.shape)
    if layout != "flat":
        vertical, horizontal = {"NCHW": (2, 3), "NHWC": (1, 2), "NHW": (1, 2)}[layout]
        steps = [
            np.abs(np.diff(values, axis=axis)).reshape(rows, -1)
            for axis in (vertical, horizontal)
            if values.shape[axis] > 1
        ]
        if steps:
            features["sharpness"] = np.concatenate(steps, axis=1).mean(axis=1)
    return features


def score_kind(scores: NDArray[np.generic]) -> ScoreKind:
    """Whether a classifier's raw scores ``[N, K]`` are probabilities already, or logits.

    Asked once, over a whole evaluation set; the manifest carries the answer: no single input decides it.
    A single column is the score of the second of two classes.
    """
    values: FloatArray = np.asarray(scores, dtype=np.float64)
    sums = values.sum(axis=1)
    is_probability = (
        values.min() >= -_SUM_TOLERANCE
        and values.max() <= 1 + _SUM_TOLERANCE
        and (values.shape[1] == 1 or bool((np.abs(sums - 1) <= _SUM_TOLERANCE).all()))
    )
    return "probability" if is_probability else "logit"


def probabilities(scores: NDArray[np.generic], kind: ScoreKind) -> FloatArray:
    """Class probabilities ``[N, K]`` from raw scores: the softmax of logits, probabilities as they are.

    A single column, the score of the second of two classes, becomes two.
    """
    values: FloatArray = np.asarray(scores, dtype=np.float64)
    if values.shape[1] == 1:
        values = np.hstack([1 - values if kind == "probability" else np.zeros_like(values), values])
    if kind == "probability":
        return values
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    result: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return result


def output_features(class_probabilities: NDArray[np.generic]) -> dict[str, FloatArray]:
    """Confidence, margin and class of each answer.

    Args:
        class_probabilities: ``[N, K]``, K at least 2.

    Returns:
        ``confidence`` (highest probability), ``margin`` (highest less second) and ``class`` (index of the
        highest), each float64 ``[N]``.
    """
    values: FloatArray = np.asarray(class_probabilities, dtype=np.float64)
    ordered = np.sort(values, axis=1)
    best = ordered[:, -1]
    return {
        "confidence": best,
        "margin": best - ordered[:, -2],
        "class": values.argmax(axis=1).astype(np.float64),
    }
