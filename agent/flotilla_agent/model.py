"""A model in ONNX Runtime: load, test itself, answer."""

from __future__ import annotations

import time

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from flotilla_agent.slots import Slot
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.features import FloatArray, output_features, probabilities
from flotilla_protocol.manifest import Manifest, TensorSpec

Array = NDArray[np.generic]


class ModelError(Exception):
    """The model cannot be loaded, or cannot answer; the text says why."""


class Prediction(msgspec.Struct, frozen=True):
    """The answers to a batch of N inputs. ``latency_ms`` is the whole batch's."""

    outputs: dict[str, Array]
    latency_ms: float
    classes: NDArray[np.int64] | None  # [N]; None for models that are not classifiers
    confidence: FloatArray | None  # [N], 0 to 1
    features: dict[str, FloatArray]  # output features, each [N]


class LoadedModel:
    """One version, ready to answer.

    Args:
        slot: where it is.
        threads: threads one inference may use.

    Raises:
        ModelError: ONNX Runtime refuses the file, or manifest and file disagree.
    """

    def __init__(self, slot: Slot, *, threads: int = 1) -> None:
        self.slot = slot
        try:
            self.manifest: Manifest = slot.manifest()
        except (InvalidMessageError, OSError) as error:
            raise ModelError(f"The manifest cannot be read: {error}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors arrive as exceptions; the console is not ours
        try:
            self._session = onnxruntime.InferenceSession(
                str(slot.model_path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors share no base below Exception
            raise ModelError(f"ONNX Runtime cannot load the model: {error}") from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        declared = {spec.name for spec in self.manifest.inputs}
        if declared != {entry.name for entry in self._session.get_inputs()}:
            raise ModelError("The manifest's inputs are not the file's.")

    @property
    def version(self) -> str:
        """The version as its slot records it."""
        return self.slot.record.version

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Raw outputs by name.

        Raises:
            ModelError: ONNX Runtime fails on these inputs.
        """
        try:
            values = self._session.run(self._outputs, feeds)
        except Exception as error:  # see above
            raise ModelError(f"Inference failed: {error}") from error
        return {name: np.asarray(value) for name, value in zip(self._outputs, values, strict=True)}

    def predict(self, rows: Array) -> Prediction:
        """Answer a batch ``[N, ...]`` given in the scale of the model's first input.

        Raises:
            ModelError: the rows do not fit, or ONNX Runtime fails on them.
        """
        spec = self.manifest.inputs[0]
        feeds = {spec.name: preprocess(rows, spec)}
        started = time.perf_counter()
        outputs = self.run(feeds)
        latency_ms = (time.perf_counter() - started) * 1000
        scores = self.manifest.scores
        if scores is None:
            return Prediction(outputs, latency_ms, None, None, {})
        raw = outputs[scores.output]
        if not np.isfinite(raw).all():
            raise ModelError("The model's scores are not finite.")
        features = output_features(probabilities(raw.reshape(len(rows), -1), scores.kind))
        return Prediction(outputs, latency_ms, features["class"].astype(np.int64), features["confidence"], features)

    def self_test(self) -> None:
        """Answer the manifest's own examples.

        Raises:
            ModelError: an answer is missing, misshapen, not finite, or off by more than the tolerance.
        """
        test = self.manifest.self_test
        try:
            feeds = {name: tensor.array() for name, tensor in test.inputs.items()}
            expected = {name: tensor.array() for name, tensor in test.expected.items()}
        except InvalidMessageError as error:
            raise ModelError(f"The self-test cannot be read: {error}") from error
        answers = self.run(feeds)
        for name, wanted in expected.items():
            answer = answers.get(name)
            if answer is None or answer.shape != wanted.shape:
                raise ModelError(f"Output {name} is missing or has another shape than expected.")
            gap = np.abs(answer.astype(np.float64) - wanted.astype(np.float64))
            # A NaN is never within tolerance: the comparison is written so that it fails.
            if gap.size and not float(gap.max()) <= test.tolerance:
                raise ModelError(f"Output {name} is off by {float(gap.max()):g}, {test.tolerance:g} allowed.")


def preprocess(rows: Array, spec: TensorSpec) -> Array:
    """Bring a batch ``[N, ...]`` into the shape and dtype the model declares.

    Axes of the same sizes in another form (``[N, 64]`` for ``[N, 1, 8, 8]``) are reshaped; values are cast,
    not scaled.

    Raises:
        ModelError: the number of values does not fit.
    """
    fixed = [len(rows), *(axis if isinstance(axis, int) else -1 for axis in spec.shape[1:])]
    try:
        return np.ascontiguousarray(rows).reshape(fixed).astype(np.dtype(spec.dtype), copy=False)
    except (TypeError, ValueError) as error:
        raise ModelError(f"An input of shape {rows.shape} does not fit {spec.name} {spec.shape}.") from error
