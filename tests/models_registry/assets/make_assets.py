"""Writes every file the publishing tests use: ``python -m tests.models_registry.assets.make_assets <folder>``.

Nothing here is trained. The sound model is right 90 % of the time by construction: rows of class ``k`` have their mass
in the columns of ``k``, the model sums those columns, and every tenth row carries another class's label.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CLASSES, COLUMNS, ROWS = 10, 64, 400
OPSET = [helper.make_opsetid("", 18)]


def labelled_rows() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(7)
    truth = np.arange(ROWS) % CLASSES
    x = random.uniform(0, 0.3, size=(ROWS, COLUMNS))
    for row, label in enumerate(truth):
        x[row, label * 6 : label * 6 + 6] += 0.6
    y = truth.copy()
    y[::10] = (y[::10] + 1) % CLASSES
    return x.astype(np.float32), y.astype(np.int64)


def weights() -> NDArray[np.float32]:
    matrix = np.zeros((COLUMNS, CLASSES), dtype=np.float32)
    for label in range(CLASSES):
        matrix[label * 6 : label * 6 + 6, label] = 1.0
    return matrix


def _model(
    nodes: list[Any],
    initializers: list[Any],
    outputs: list[Any],
    input_shape: list[Any] | None = None,
    opset: list[Any] | None = None,
) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape or ["N", COLUMNS])
    graph = helper.make_graph(nodes, "digits", [x], outputs, initializers)
    model = helper.make_model(graph, opset_imports=opset or OPSET, producer_name="assets", producer_version="1")
    model.ir_version = 9
    return model


def _scores(columns: Any = CLASSES) -> Any:
    return helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", columns])


def sound(matrix: NDArray[np.float32] | None = None, input_shape: list[Any] | None = None) -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["rows", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    flatten = helper.make_node("Flatten", ["x"], ["rows"], axis=1)
    model = _model(
        [flatten, *nodes],
        [numpy_helper.from_array(weights() if matrix is None else matrix, "w")],
        [_scores()],
        input_shape,
    )
    entry = model.metadata_props.add()
    entry.key, entry.value = "labels", '["zero","one","two","three","four","five","six","seven","eight","nine"]'
    return model


def external_data() -> onnx.ModelProto:
    model = sound()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../../etc/passwd"), ("offset", "0"), ("length", "100")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model


def external_data_in_a_branch() -> onnx.ModelProto:
    inner = external_data().graph.initializer[0]
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=inner)],
        "branch",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [COLUMNS, CLASSES])],
    )
    condition = numpy_helper.from_array(np.array(True), "condition")
    nodes = [
        helper.make_node("If", ["condition"], ["w2"], then_branch=branch, else_branch=branch),
        helper.make_node("MatMul", ["x", "w2"], ["probabilities"]),
    ]
    return _model(nodes, [condition], [_scores()])


def nan_weights() -> onnx.ModelProto:
    matrix = weights()
    matrix[3, 3] = np.nan
    return sound(matrix)


def nan_outputs() -> onnx.ModelProto:
    """Sound weights whose logarithm of a negative number only shows when it runs."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["logits"]),
        helper.make_node("Sub", ["logits", "shift"], ["shifted"]),
        helper.make_node("Log", ["shifted"], ["probabilities"]),
    ]
    shift = numpy_helper.from_array(np.array([3.0], dtype=np.float32), "shift")
    return _model(nodes, [numpy_helper.from_array(weights(), "w"), shift], [_scores()])


def shape_bomb() -> onnx.ModelProto:
    """A few bytes that ask for four tebibytes when they run."""
    shape = numpy_helper.from_array(np.array([1 << 40], dtype=np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["total"], keepdims=0),
        helper.make_node("MatMul", ["x", "w"], ["logits"]),
        helper.make_node("Add", ["logits", "total"], ["probabilities"]),
    ]
    return _model(nodes, [shape, numpy_helper.from_array(weights(), "w")], [_scores()])


def endless_loop() -> onnx.ModelProto:
    """A loop of 2^62 rounds."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("Add", ["value_in", "one"], ["value_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_in", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_out", TensorProto.FLOAT, []),
        ],
    )
    constants = [
        numpy_helper.from_array(np.array(1 << 62, dtype=np.int64), "rounds"),
        numpy_helper.from_array(np.array(True), "go"),
        numpy_helper.from_array(np.array(0.0, dtype=np.float32), "start"),
        numpy_helper.from_array(np.array(1.0, dtype=np.float32), "one"),
        numpy_helper.from_array(weights(), "w"),
    ]
    nodes = [
        helper.make_node("Loop", ["rounds", "go", "start"], ["total"], body=body),
        helper.make_node("MatMul", ["x", "w"], ["logits"]),
        helper.make_node("Add", ["logits", "total"], ["probabilities"]),
    ]
    return _model(nodes, constants, [_scores()])


def absurd_initializer() -> onnx.ModelProto:
    model = sound()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([1 << 31, 1 << 31])
    return model


def missing_outputs() -> onnx.ModelProto:
    model = sound()
    del model.graph.output[:]
    return model


def unknown_operator() -> onnx.ModelProto:
    node = helper.make_node("PhoneHome", ["x"], ["probabilities"], domain="acme")
    return _model([node], [], [_scores()], opset=[*OPSET, helper.make_opsetid("acme", 1)])


def broken_graph() -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "nowhere"], ["probabilities"])
    return _model([node], [], [_scores()])


def three_classes() -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "w"], ["probabilities"])
    return _model([node], [numpy_helper.from_array(weights()[:, :3].copy(), "w")], [_scores(3)])


def wrong_input_shape() -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "w"], ["probabilities"])
    matrix = np.zeros((49, CLASSES), dtype=np.float32)
    return _model([node], [numpy_helper.from_array(matrix, "w")], [_scores()], ["N", 49])


def pixels_only() -> onnx.ModelProto:
    """An image to image model: no scores, no labels."""
    output = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])
    return _model([helper.make_node("Relu", ["x"], ["image"])], [], [output], ["N", 1, 8, 8])


SOUND: dict[str, Callable[[], onnx.ModelProto]] = {
    "sound.onnx": sound,
    "image_input.onnx": lambda: sound(input_shape=["N", 1, 8, 8]),
    "fixed_batch.onnx": lambda: sound(input_shape=[3, COLUMNS]),
}
HOSTILE: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "external_data.onnx": (external_data, "external_data"),
    "external_data_in_a_branch.onnx": (external_data_in_a_branch, "external_data"),
    "nan_weights.onnx": (nan_weights, "nan_weights"),
    "nan_outputs.onnx": (nan_outputs, "nan_outputs"),
    "shape_bomb.onnx": (shape_bomb, "memory_limit"),
    "absurd_initializer.onnx": (absurd_initializer, "absurd_size"),
    "missing_outputs.onnx": (missing_outputs, "no_outputs"),
    "unknown_operator.onnx": (unknown_operator, "cannot_load"),
    "broken_graph.onnx": (broken_graph, "invalid_graph"),
    "three_classes.onnx": (three_classes, "class_count"),
    "wrong_input_shape.onnx": (wrong_input_shape, "evaluation_shape"),
    "pixels_only.onnx": (pixels_only, "no_scores"),
}
# Files that are no ONNX at all, by the bytes they hold.
NOT_ONNX: dict[str, Callable[[], bytes]] = {
    "empty.onnx": lambda: b"",
    "text.onnx": lambda: b"this is not a model\n" * 100,
    "zeros.onnx": lambda: bytes(10_000),
    "truncated.onnx": lambda: sound().SerializeToString()[:-700],
    "archive.onnx": lambda: b"PK\x03\x04" + bytes(2000),
}


def _npz(path: Path, **arrays: Any) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _pickle(path: Path) -> None:
    objects = np.empty(ROWS, dtype=object)
    objects[:] = [{"os": "system"}] * ROWS
    _npz(path, x=objects, y=labelled_rows()[1])


def _announce_size(path: Path, size_bytes: int) -> None:
    """Let the archive's directory give every member another unpacked size."""
    body = bytearray(path.read_bytes())
    start = body.find(b"PK\x01\x02")
    while start >= 0:
        struct.pack_into("<I", body, start + 24, size_bytes)
        start = body.find(b"PK\x01\x02", start + 4)
    path.write_bytes(body)


def _unpacks_to_too_much(path: Path) -> None:
    _npz(path, x=labelled_rows()[0], y=labelled_rows()[1])
    _announce_size(path, 300_000_000)


def _hides_its_size(path: Path) -> None:
    """Ten megabytes of zeros in ten kilobytes, announced as 128 bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x.npy", "y.npy"):
            archive.writestr(name, bytes(10_000_000))
    _announce_size(path, 128)


def _lying_header(path: Path) -> None:
    """An array that announces more rows than it has."""
    _npz(path, x=labelled_rows()[0], y=labelled_rows()[1])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["x.npy"] = parts["x.npy"].replace(b"(400, 64)", b"(999, 64)")
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in parts.items():
            archive.writestr(name, body)


def _cut(path: Path) -> None:
    _npz(path, x=labelled_rows()[0], y=labelled_rows()[1])
    path.write_bytes(path.read_bytes()[:-1000])


def _not_a_zip(path: Path) -> None:
    path.write_bytes(b"x" * 1000)


def _with(**changes: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        x, y = labelled_rows()
        _npz(path, **({"x": x, "y": y} | changes))

    return write


def _not_finite(path: Path) -> None:
    x, y = labelled_rows()
    x[5, 5] = np.inf
    _npz(path, x=x, y=y)


HOSTILE_SETS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle.npz": (_pickle, "evaluation_set_dtype"),
    "unpacks_to_too_much.npz": (_unpacks_to_too_much, "evaluation_set_too_large"),
    "hides_its_size.npz": (_hides_its_size, "evaluation_set_unreadable"),
    "lying_header.npz": (_lying_header, "evaluation_set_truncated"),
    "cut.npz": (_cut, "evaluation_set_unreadable"),
    "not_a_zip.npz": (_not_a_zip, "evaluation_set_unreadable"),
    "third_array.npz": (_with(z=np.zeros(3)), "evaluation_set_arrays"),
    "float64.npz": (_with(x=np.zeros((ROWS, COLUMNS))), "evaluation_set_dtype"),
    "fewer_labels.npz": (_with(y=np.zeros(3, dtype=np.int64)), "evaluation_set_shape"),
    "flat.npz": (_with(x=np.zeros(ROWS, dtype=np.float32)), "evaluation_set_shape"),
    "no_rows.npz": (
        _with(x=np.zeros((0, COLUMNS), dtype=np.float32), y=np.zeros(0, dtype=np.int64)),
        "evaluation_set_rows",
    ),
    "negative_class.npz": (_with(y=np.full(ROWS, -1, dtype=np.int64)), "evaluation_set_classes"),
    "not_finite.npz": (_not_finite, "evaluation_set_not_finite"),
}


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in {**SOUND, **{name: made for name, (made, _) in HOSTILE.items()}}.items():
        (folder / name).write_bytes(build().SerializeToString())
    (folder / "endless_loop.onnx").write_bytes(endless_loop().SerializeToString())
    for name, body in NOT_ONNX.items():
        (folder / name).write_bytes(body())
    x, y = labelled_rows()
    _npz(folder / "sound.npz", x=x, y=y)
    for name, (write, _) in HOSTILE_SETS.items():
        write(folder / name)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
