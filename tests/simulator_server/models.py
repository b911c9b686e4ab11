"""Small real models: a linear classifier of 4x4 pictures in three classes, and one that fails on bright
pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from flotilla_protocol.digests import digest_bytes
from flotilla_protocol.features import probabilities
from flotilla_protocol.manifest import Manifest, Scores, SelfTest, Tensor, TensorSpec, manifest_encode
from flotilla_protocol.profile import reference_profile

SHAPE = (1, 4, 4)
CLASSES = 3


def pictures(count: int = 200, seed: int = 7) -> np.ndarray:
    """float32 ``[N, 1, 4, 4]``, 0 to 0.9."""
    return (np.random.default_rng(seed).random((count, *SHAPE)) * 0.9).astype(np.float32)


@dataclass(frozen=True)
class Published:
    """A version as it is published."""

    model: str
    version: str
    file: bytes
    manifest: Manifest

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def manifest_file(self) -> bytes:
        return manifest_encode(self.manifest)

    @property
    def model_target(self) -> str:
        return f"{self.model}/{self.version}/fp32/model.onnx"

    @property
    def manifest_target(self) -> str:
        return f"{self.model}/{self.version}/fp32/manifest.json"


def model_file(seed: int, *, fails_when_bright: bool = False) -> bytes:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(16, CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    initializers = [numpy_helper.from_array(weights, "weights")]
    last = "logits"
    if fails_when_bright:
        # The brightest pixel, cut to an integer, picks the only element there is: 1.0 and above is out of
        # bounds.
        initializers.append(numpy_helper.from_array(np.zeros(1, dtype=np.float32), "only"))
        nodes += [
            helper.make_node("ReduceMax", ["flat"], ["brightest"], keepdims=0),
            helper.make_node("Cast", ["brightest"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["only", "index"], ["nothing"]),
            helper.make_node("Add", ["logits", "nothing"], ["sum"]),
        ]
        last = "sum"
    nodes.append(helper.make_node("Softmax", [last], ["scores"], axis=1))
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", CLASSES])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def publish(
    version: str,
    *,
    model: str = "shapes",
    seed: int = 1,
    fails_when_bright: bool = False,
    wrong_self_test: bool = False,
) -> Published:
    file = model_file(seed, fails_when_bright=fails_when_bright)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    rows = pictures()
    (scores,) = session.run(["scores"], {"image": rows})
    expected = scores[:2] + (0.5 if wrong_self_test else 0.0)
    manifest = Manifest(
        model=model,
        version=version,
        variant="fp32",
        digest=digest_bytes(file).sha256,
        inputs=[TensorSpec("image", "float32", ["N", *SHAPE])],
        outputs=[TensorSpec("scores", "float32", ["N", CLASSES])],
        labels=["circle", "square", "star"],
        scores=Scores("scores", "probability"),
        self_test=SelfTest({"image": Tensor.of(rows[:2])}, {"scores": Tensor.of(expected.astype(np.float32))}, 1e-4),
        profile=reference_profile(rows, probabilities(scores, "probability")),
    )
    return Published(model, version, file, manifest)
