"""What a classifier does with labelled rows: accuracy, latency, reference profile, self-test."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flotilla_protocol.features import probabilities, score_kind
from flotilla_protocol.limits import MAX_BINS
from flotilla_protocol.manifest import Scores, SelfTest, Tensor
from flotilla_protocol.profile import reference_profile
from models_registry.errors import ModelRejectedError
from models_registry.inspection.base import Inspection, Measurement, Progress
from models_registry.inspection.evaluation_set import LabelledRows

Arrays = dict[str, NDArray[np.generic]]

_CONFUSION_CLASSES = 100
_SELF_TEST_ROWS = 8
_SELF_TEST_VALUES = 20_000  # above it, one row
_SELF_TEST_MAX_VALUES = 600_000  # the manifest is JSON of at most 8 MB
_SELF_TEST_STEP = 64  # larger inputs are rounded to 1/64, which is short in decimal
_TOLERANCE = 1e-3  # other processors and builds round differently; of the largest answer, at least of 1
_MATRIX = 2


class Runner(Protocol):
    """A loaded model (``onnx_run.OnnxRunner``)."""

    @property
    def input_name(self) -> str:
        """The name of the one input."""

    @property
    def fixed_batch(self) -> int | None:
        """How many rows a run takes, if fixed."""

    def fit(self, x: NDArray[np.float32]) -> NDArray[np.generic]:
        """Rows in the model's own shape."""

    def run(self, rows: NDArray[np.generic]) -> Arrays:
        """All outputs."""

    def latencies_ms(self, rows: NDArray[np.generic]) -> NDArray[np.float64]:
        """Wall times of single runs."""


def measure_classifier(
    runner: Runner, inspection: Inspection, evaluation_set: LabelledRows, progress: Progress
) -> Measurement:
    """Measure a classifier.

    Raises:
        ModelRejectedError: it fails, answers NaN, has no scores or labels, or too few classes.
    """
    rows = runner.fit(evaluation_set.x)
    outputs = runner.run(rows)
    for name, values in outputs.items():
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())
            raise ModelRejectedError(
                f"The output {name} is not finite for {bad} of {len(values)} rows.", code="nan_outputs"
            )
    progress(0.6, "measuring")
    scores, class_probabilities, answers = _answers(outputs)
    class_count = class_probabilities.shape[1] if class_probabilities is not None else int(answers.max()) + 1
    class_count = max(class_count, evaluation_set.class_count) if class_probabilities is None else class_count
    if evaluation_set.class_count > class_count or int(answers.min()) < 0:
        raise ModelRejectedError(
            f"The evaluation set has {evaluation_set.class_count} classes, the model answers with {class_count}.",
            code="class_count",
        )
    labels = _labels(inspection, class_count)
    evaluation = _evaluation(evaluation_set.y, answers, labels)
    progress(0.8, "timing")
    times = runner.latencies_ms(rows)
    evaluation |= {
        "latency_ms_p50": float(np.percentile(times, 50)),
        "latency_ms_p95": float(np.percentile(times, 95)),
    }
    progress(0.9, "cutting the reference profile")
    watched = class_probabilities if class_count <= MAX_BINS else None
    return Measurement(
        evaluation=evaluation,
        labels=labels,
        scores=scores,
        self_test=_self_test(runner, rows),
        profile=reference_profile(rows, watched),
    )


def _answers(outputs: Arrays) -> tuple[Scores | None, NDArray[np.float64] | None, NDArray[np.int64]]:
    """Which output says what: scores ``[N, K]`` if there are any, else labels ``[N]``."""
    matrices = {
        name: values
        for name, values in outputs.items()
        if values.ndim == _MATRIX and np.issubdtype(values.dtype, np.floating)
    }
    if matrices:
        # Some exporters add embeddings beside the scores: an output that says it holds them wins over the first.
        name = next((name for name in matrices if "prob" in name.lower()), next(iter(matrices)))
        kind = score_kind(matrices[name])
        class_probabilities = probabilities(matrices[name], kind)
        return Scores(output=name, kind=kind), class_probabilities, class_probabilities.argmax(axis=1)
    for values in outputs.values():
        if values.ndim == 1 and np.issubdtype(values.dtype, np.integer):
            return None, None, values.astype(np.int64)
    raise ModelRejectedError(
        "The model has neither an output of class scores [N, K] nor one of class numbers [N].", code="no_scores"
    )


def _labels(inspection: Inspection, class_count: int) -> list[str]:
    if len(inspection.labels) == class_count:
        return inspection.labels
    return [str(number) for number in range(class_count)]


def _evaluation(truth: NDArray[np.int64], answers: NDArray[np.int64], labels: list[str]) -> dict[str, Any]:
    count = len(labels)
    answers = np.minimum(answers, count - 1)
    confusion = np.bincount(truth * count + answers, minlength=count * count).reshape(count, count)
    of_class = confusion.sum(axis=1)
    right = np.diagonal(confusion)
    return {
        "accuracy": float(right.sum() / of_class.sum()),
        "accuracy_by_class": {
            label: float(right[index] / of_class[index]) if of_class[index] else None
            for index, label in enumerate(labels)
        },
        "confusion": confusion.tolist() if count <= _CONFUSION_CLASSES else None,
        "row_count": len(truth),
    }


def _self_test(runner: Runner, rows: NDArray[np.generic]) -> SelfTest:
    """Inputs spread over the evaluation set, with the answers a sound installation gives."""
    per_row = max(1, rows[0].size)
    count = runner.fixed_batch or max(1, min(_SELF_TEST_ROWS, _SELF_TEST_VALUES // per_row))
    if count * per_row > _SELF_TEST_MAX_VALUES:
        raise ModelRejectedError(
            f"One run takes {count * per_row} values; a self-test carries at most {_SELF_TEST_MAX_VALUES}.",
            code="input_too_large",
        )
    chosen = rows[np.linspace(0, len(rows) - 1, num=count).astype(int)]
    if count * per_row > _SELF_TEST_VALUES:
        chosen = (np.round(chosen.astype(np.float64) * _SELF_TEST_STEP) / _SELF_TEST_STEP).astype(rows.dtype)
    expected = runner.run(chosen)
    largest = max(
        (float(np.abs(values).max()) for values in expected.values() if np.issubdtype(values.dtype, np.floating)),
        default=1.0,
    )
    return SelfTest(
        inputs={runner.input_name: Tensor.of(chosen)},
        expected={name: Tensor.of(values) for name, values in expected.items()},
        tolerance=_TOLERANCE * max(1.0, largest),
    )
