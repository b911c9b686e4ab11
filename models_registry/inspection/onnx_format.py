"""ONNX files: read without external data, checked, then run in ONNX Runtime.

Every code raised here and in ``onnx_run`` and ``classifier`` is explained in ``docs/operators/storage.md``, section 6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto, numpy_helper

from flotilla_protocol.manifest import TensorSpec
from models_registry.errors import ModelRejectedError
from models_registry.inspection.base import Inspection, Measurement, Progress
from models_registry.inspection.classifier import measure_classifier
from models_registry.inspection.evaluation_set import LabelledRows
from models_registry.inspection.onnx_run import OnnxRunner

MAX_BYTES = 2_000_000_000  # protobuf itself ends at 2 GiB
MAX_TENSOR_VALUES = 1 << 31
_MAX_TENSORS = 100_000
_MAX_RANK = 8
_MAX_VALUES = 64  # inputs or outputs
_MAX_LABELS = 1024
_TEXT_MAX = 256
_FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


class OnnxInspector:
    """See ``models_registry.inspection.base.Inspector``."""

    format = "onnx"

    def recognises(self, path: Path) -> bool:
        """Whether the file reads as a model with a graph. Protobuf has no magic number: almost empty files parse."""
        if not 0 < path.stat().st_size <= MAX_BYTES:
            return False
        try:
            model = onnx.load_model(str(path), load_external_data=False)
        except (DecodeError, ValueError, OSError):
            return False
        return bool(model.ir_version > 0 and model.opset_import and model.HasField("graph"))

    def inspect(self, path: Path) -> Inspection:
        """Read and check a file without running it."""
        model = onnx.load_model(str(path), load_external_data=False)
        for count, tensor in enumerate(_tensors(model)):
            if count >= _MAX_TENSORS:
                raise ModelRejectedError(f"The model has more than {_MAX_TENSORS} tensors.", code="absurd_size")
            _check_tensor(tensor)
        # A graph without outputs breaks the checker's rules too, but "nothing to measure" is the clearer answer.
        if not model.graph.output:
            raise ModelRejectedError("The model has no outputs: there is nothing to measure.", code="no_outputs")
        try:
            onnx.checker.check_model(model)
        except (onnx.checker.ValidationError, ValueError) as error:
            raise ModelRejectedError(
                f"The ONNX checker refuses the graph: {first_line(error)}", code="invalid_graph"
            ) from error
        weights = {tensor.name for tensor in model.graph.initializer}
        inputs = [_spec(value) for value in model.graph.input if value.name not in weights]
        outputs = [_spec(value) for value in model.graph.output]
        if not inputs:
            raise ModelRejectedError("The model has no inputs: it answers the same every time.", code="no_inputs")
        if max(len(inputs), len(outputs)) > _MAX_VALUES:
            raise ModelRejectedError(f"The model has more than {_MAX_VALUES} inputs or outputs.", code="absurd_size")
        opsets = {entry.domain: entry.version for entry in model.opset_import}
        return Inspection(
            format=self.format,
            opset=opsets.get("", opsets.get("ai.onnx")),
            ir_version=model.ir_version,
            producer=f"{model.producer_name} {model.producer_version}".strip()[:_TEXT_MAX],
            operators=sorted(set(_operators(model))),
            labels=_labels(model),
            inputs=inputs,
            outputs=outputs,
        )

    def measure(
        self, path: Path, inspection: Inspection, evaluation_set: LabelledRows, progress: Progress
    ) -> Measurement:
        """Run the file over the evaluation set in ONNX Runtime, on one thread."""
        return measure_classifier(OnnxRunner(path), inspection, evaluation_set, progress)


def first_line(error: Exception) -> str:
    """What a library says, short enough for a person."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and those inside its branches and loops."""
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        yield current
        for node in current.node:
            waiting.extend(_inner(node.attribute))


def _inner(attributes: list[AttributeProto]) -> Iterator[GraphProto]:
    for attribute in attributes:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _attributes(model: ModelProto) -> Iterator[AttributeProto]:
    for graph in _graphs(model.graph):
        for node in graph.node:
            yield from node.attribute
    for function in model.functions:
        for node in function.node:
            yield from node.attribute
            for graph in _inner(node.attribute):
                for part in _graphs(graph):
                    for inner_node in part.node:
                        yield from inner_node.attribute


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every constant of the model, wherever it hides."""
    for graph in _graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
    for attribute in _attributes(model):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in [attribute.sparse_tensor, *attribute.sparse_tensors]:
            yield sparse.values
            yield sparse.indices


def _check_tensor(tensor: TensorProto) -> None:
    name = tensor.name[:_TEXT_MAX] or "a constant"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ModelRejectedError(
            f"The weights of {name} lie in another file. Save the model as one file "
            "(onnx.save(model, path, save_as_external_data=False)).",
            code="external_data",
        )
    values = 1
    for size in tensor.dims:
        values *= size
        if size < 0 or values > MAX_TENSOR_VALUES:
            raise ModelRejectedError(f"{name} announces the shape {list(tensor.dims)[:_MAX_RANK]}.", code="absurd_size")
    if tensor.data_type not in _FLOATS:
        return
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelRejectedError(f"The values of {name} do not fill its shape.", code="invalid_graph") from error
    # Infinities are legal constants (masks use them); no sound weight is NaN.
    if np.isnan(array.astype(np.float32, copy=False)).any():
        raise ModelRejectedError(f"{name} holds NaN: training has diverged.", code="nan_weights")


def _spec(value: ValueInfoProto) -> TensorSpec:
    name = value.name[:_TEXT_MAX]
    if value.type.WhichOneof("value") != "tensor_type":
        raise ModelRejectedError(
            f"{name} is no tensor but a {value.type.WhichOneof('value') or 'value of no type'}. For scikit-learn "
            "models, convert with the option zipmap=False.",
            code="unsupported_value",
        )
    tensor = value.type.tensor_type
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    except (KeyError, TypeError, ValueError) as error:
        raise ModelRejectedError(f"{name} has an unknown element type.", code="unsupported_value") from error
    shape = [_size(dimension) for dimension in tensor.shape.dim]
    if len(shape) > _MAX_RANK:
        raise ModelRejectedError(f"{name} has more than {_MAX_RANK} axes.", code="unsupported_value")
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def _size(dimension: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value)
    return dimension.dim_param[:_TEXT_MAX] or None


def _operators(model: ModelProto) -> Iterator[str]:
    for graph in _graphs(model.graph):
        for node in graph.node:
            is_standard = node.domain in {"", "ai.onnx"}
            yield (node.op_type if is_standard else f"{node.domain}.{node.op_type}")[:_TEXT_MAX]


def _labels(model: ModelProto) -> list[str]:
    """Class names from the metadata property ``labels``, a JSON list of texts; anything else is not ours to guess."""
    text = next((entry.value for entry in model.metadata_props if entry.key == "labels"), "[]")
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(labels, list) or len(labels) > _MAX_LABELS:
        return []
    return [str(label)[:_TEXT_MAX] for label in labels]
