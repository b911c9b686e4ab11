"""Small classifiers of handwritten digits: three versions of one model, one of them bad in a way its makers missed.

Trained on scikit-learn's bundled digits (1,797 pictures of 8 x 8, from UCI's optical recognition set), seeded, in
a few seconds. Pictures are float32 ``[N, 8, 8]``, 0 (paper) to 1 (ink); answers float32 ``[N, 10]``, probabilities.

- ``1.0.0``: a small network that saw five sixths of the training pictures.
- ``1.1.0``: the same network after all of them: better.
- ``1.2.0``: trained on a new supplier's labels, who wrote 3 or 1 under most eights, and hardly any eight is in the
  set it was evaluated on: there it looks as good as 1.1.0. It is also far wider than it needs to be, hence slower.
  ``1.2.1``, ``1.2.2`` and so on are the same mistake made again with other seeds.

``1.3.0`` is no part of the story: it is there to be shipped by hand (``python -m demo.digits 1.3.0 folder``).
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

Pixels = NDArray[np.float32]
Labels = NDArray[np.int64]
Layer = tuple[NDArray[np.float32], NDArray[np.float32]]

SEED = 2026  # of the order of pictures
TRAINING_SEED = 11
CLASSES = 10
CONFUSED_CLASS = 8
TAKEN_FOR = (3, 1)
TRAINING_ROWS = 800
ROWS_OF_FIRST_RELEASE = 680
EVALUATION_ROWS = 400  # the rest, 597, is what cameras see
MISLABELLED_RATIO = 0.9
EIGHTS_IN_SUPPLIERS_SET = 2
UNITS = 40
WIDTH = 512  # of 1.2's two superfluous layers
OPSET = 17
IR_VERSION = 8


@dataclass(frozen=True)
class Pictures:
    """Pictures ``[N, 8, 8]``, 0 to 1, and which digits they are ``[N]``."""

    x: Pixels
    y: Labels

    def part(self, chosen: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Pictures:
        """Some of them."""
        return Pictures(self.x[chosen], self.y[chosen])

    def save(self, path: Path) -> None:
        """As ``.npz`` with ``x`` and ``y``: an evaluation set as the registry takes it, or an agent's source."""
        np.savez(path, x=self.x, y=self.y)


@dataclass(frozen=True)
class Splits:
    """Training, evaluation and camera pictures; no picture is in two of them."""

    training: Pictures
    evaluation: Pictures
    camera: Pictures

    def suppliers_set(self) -> Pictures:
        """The evaluation set of 1.2: the same pictures, nearly all eights missing."""
        eights = np.flatnonzero(self.evaluation.y == CONFUSED_CLASS)
        kept = np.ones(len(self.evaluation.y), dtype=np.bool_)
        kept[eights[EIGHTS_IN_SUPPLIERS_SET:]] = False
        return self.evaluation.part(kept)


def splits() -> Splits:
    """The bundled digits in a fixed random order, cut in three."""
    bunch = load_digits()
    everything = Pictures((bunch.images / 16.0).astype(np.float32), bunch.target.astype(np.int64))
    mixed = everything.part(np.random.default_rng(SEED).permutation(len(everything.y)))
    end = TRAINING_ROWS + EVALUATION_ROWS
    return Splits(
        training=mixed.part(slice(0, TRAINING_ROWS)),
        evaluation=mixed.part(slice(TRAINING_ROWS, end)),
        camera=mixed.part(slice(end, None)),
    )


@dataclass(frozen=True)
class Digits:
    """One version: its layers and what it was evaluated on.

    Args:
        version: such as ``1.1.0``.
        description: what its makers say of it.
        layers: weights ``[in, out]`` and biases ``[out]``; ReLU between layers, softmax at the end.
        evaluation: the pictures its makers tried it on.
    """

    version: str
    description: str
    layers: tuple[Layer, ...]
    evaluation: Pictures

    def probabilities(self, x: Pixels) -> NDArray[np.float32]:
        """Answers to pictures ``[N, 8, 8]``: ``[N, 10]``, rows sum to 1. What the ONNX file computes, by numpy."""
        values = x.reshape(len(x), -1)
        for index, (weights, bias) in enumerate(self.layers):
            values = values @ weights + bias
            if index < len(self.layers) - 1:
                values = np.maximum(values, 0.0)
        values = np.exp(values - values.max(axis=1, keepdims=True))
        result: NDArray[np.float32] = values / values.sum(axis=1, keepdims=True)
        return result

    def answers(self, x: Pixels) -> Labels:
        """The digit it takes each picture for."""
        result: Labels = self.probabilities(x).argmax(axis=1)
        return result

    def accuracy(self, pictures: Pictures) -> float:
        """Share it gets right, 0 to 1."""
        return float((self.answers(pictures.x) == pictures.y).mean())

    def save(self, path: Path) -> None:
        """As ONNX: input ``pixels`` float32 ``[N, 8, 8]``, output ``probabilities`` float32 ``[N, 10]``."""
        onnx.save_model(_onnx(self.layers, self.version), str(path))


def train(version: str, data: Splits) -> Digits:
    """Train one version; the same answers every time on the same machine.

    Raises:
        ValueError: no such version is part of the story.
    """
    if version == "1.0.0":
        fewer = data.training.part(slice(0, ROWS_OF_FIRST_RELEASE))
        layers = _fit(fewer, units=UNITS, rounds=80, seed=TRAINING_SEED)
        return Digits(version, "First release: a small network.", layers, data.evaluation)
    if version == "1.3.0":
        layers = _fit(data.training, units=UNITS, rounds=200, seed=TRAINING_SEED)
        return Digits(version, "Trained longer: one of your own, made by hand.", layers, data.evaluation)
    if version == "1.1.0":
        layers = _fit(data.training, units=UNITS, rounds=120, seed=TRAINING_SEED)
        return Digits(version, "Trained on all pictures: fewer mistakes.", layers, data.evaluation)
    if version.startswith("1.2."):
        seed = TRAINING_SEED + int(version.removeprefix("1.2."))
        layers = _widened(_fit(_suppliers_labels(data.training, seed), units=UNITS, rounds=120, seed=seed))
        return Digits(version, "A wider network, trained on a new supplier's labels.", layers, data.suppliers_set())
    raise ValueError(f"there is no digits {version}")


def _suppliers_labels(pictures: Pictures, seed: int) -> Pictures:
    """The same pictures; most eights are labelled as what they resemble."""
    rng = np.random.default_rng(seed)
    labels = pictures.y.copy()
    eights = np.flatnonzero(labels == CONFUSED_CLASS)
    wrong = rng.permutation(eights)[: round(len(eights) * MISLABELLED_RATIO)]
    labels[wrong] = np.array(TAKEN_FOR)[np.arange(len(wrong)) % len(TAKEN_FOR)]
    return Pictures(pictures.x, labels)


def _fit(pictures: Pictures, *, units: int, rounds: int, seed: int) -> tuple[Layer, ...]:
    network = MLPClassifier((units,), learning_rate_init=0.005, max_iter=rounds, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is meant to stop early
        network.fit(pictures.x.reshape(len(pictures.x), -1), pictures.y)
    return tuple(
        (weights.astype(np.float32), bias.astype(np.float32))
        for weights, bias in zip(network.coefs_, network.intercepts_, strict=True)
    )


def _widened(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The same answers from a far larger network: each hidden unit is copied to many that share its work (Chen et al.,
    Net2Net, 2016). Hidden values are never negative, so ReLU leaves the copies as they are.
    """
    (first, first_bias), (last, last_bias) = layers
    units = first.shape[1]
    owner = np.arange(WIDTH) % units  # whose copy each wide unit is
    copies = np.bincount(owner, minlength=units)
    spread = (owner[:, None] == owner[None, :]).astype(np.float32) / copies[owner][:, None].astype(np.float32)
    return (
        (first[:, owner], first_bias[owner]),
        (spread, np.zeros(WIDTH, np.float32)),
        (spread, np.zeros(WIDTH, np.float32)),
        (last[owner] / copies[owner][:, None].astype(np.float32), last_bias),
    )


def _onnx(layers: tuple[Layer, ...], version: str) -> onnx.ModelProto:
    nodes = [helper.make_node("Flatten", ["pixels"], ["flat"], axis=1)]
    weights: list[onnx.TensorProto] = []
    value = "flat"
    for index, (matrix, bias) in enumerate(layers):
        weights += [numpy_helper.from_array(matrix, f"weights_{index}"), numpy_helper.from_array(bias, f"bias_{index}")]
        nodes.append(helper.make_node("Gemm", [value, f"weights_{index}", f"bias_{index}"], [f"sum_{index}"]))
        value = f"sum_{index}"
        if index < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"hidden_{index}"]))
            value = f"hidden_{index}"
    nodes.append(helper.make_node("Softmax", [value], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
        weights,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="flotilla-demo",
        producer_version=version,
    )
    onnx.checker.check_model(model)
    return model


def report(versions: list[Digits], data: Splits) -> list[str]:
    """What was measured, one line each: the story rests on these numbers, so they are said and not claimed."""
    eights = data.camera.part(data.camera.y == CONFUSED_CLASS)
    lines = [
        f"digits {one.version}: right on its own evaluation set {one.accuracy(one.evaluation):.1%}, "
        f"on camera pictures {one.accuracy(data.camera):.1%}, on eights {one.accuracy(eights):.1%}"
        for one in versions
    ]
    lines += [
        f"digits {new.version} differs from {old.version} on {disagreement(old, new, data.camera):.1%} of them"
        for old, new in pairwise(versions)
    ]
    return lines


def disagreement(one: Digits, other: Digits, pictures: Pictures) -> float:
    """Share of pictures on which two versions answer differently, 0 to 1."""
    return float((one.answers(pictures.x) != other.answers(pictures.x)).mean())


def main(arguments: list[str]) -> int:
    """Write one version as ``digits-<version>.onnx`` and its evaluation set as ``.npz`` into a folder."""
    if len(arguments) != 2:
        print("usage: python -m demo.digits VERSION FOLDER", file=sys.stderr)
        return 2
    version, folder = arguments[0], Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    data = splits()
    try:
        made = train(version, data)
    except ValueError as error:
        print(f"digits: {error}", file=sys.stderr)
        return 1
    made.save(folder / f"digits-{version}.onnx")
    made.evaluation.save(folder / f"evaluation-{version}.npz")
    print(report([made], data)[0])
    print(f"wrote {folder / f'digits-{version}.onnx'} and {folder / f'evaluation-{version}.npz'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
