"""Each hostile file breaks one rule, and is refused by that rule's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models_registry.errors import ModelRejectedError
from models_registry.inspection.base import Measurement
from models_registry.inspection.evaluation_set import evaluation_set_load
from models_registry.inspection.registry import inspector_for
from tests.models_registry.assets import make_assets

# This one asks for four tebibytes: it is only met behind the limits of the sandbox.
SANDBOX_ONLY = {"shape_bomb.onnx"}


def measure(assets: Path, name: str) -> Measurement:
    path = assets / name
    inspector = inspector_for(path)
    rows = evaluation_set_load(assets / "sound.npz")
    return inspector.measure(path, inspector.inspect(path), rows, lambda _ratio, _text: None)


@pytest.mark.parametrize(
    ("name", "code"), [(name, code) for name, (_, code) in make_assets.HOSTILE.items() if name not in SANDBOX_ONLY]
)
def test_a_hostile_model_is_refused_by_name(assets: Path, name: str, code: str) -> None:
    with pytest.raises(ModelRejectedError) as caught:
        measure(assets, name)
    assert caught.value.error_code == code
    assert str(assets) not in caught.value.text


@pytest.mark.parametrize("name", list(make_assets.NOT_ONNX))
def test_a_file_that_is_no_onnx_is_refused(assets: Path, name: str) -> None:
    with pytest.raises(ModelRejectedError) as caught:
        inspector_for(assets / name)
    assert caught.value.error_code == "unknown_format"


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, (_, code) in make_assets.HOSTILE_SETS.items()])
def test_a_hostile_evaluation_set_is_refused_by_name(assets: Path, name: str, code: str) -> None:
    with pytest.raises(ModelRejectedError) as caught:
        evaluation_set_load(assets / name)
    assert caught.value.error_code == code


def test_images_are_reshaped_and_have_sharpness(assets: Path) -> None:
    found = measure(assets, "image_input.onnx")
    assert found.evaluation["accuracy"] == pytest.approx(0.9)
    assert found.profile.feature("sharpness") is not None
    assert found.self_test.inputs["x"].shape == [8, 1, 8, 8]


def test_a_fixed_batch_that_does_not_divide_the_rows_counts_every_row_once(assets: Path) -> None:
    found = measure(assets, "fixed_batch.onnx")  # batches of 3, 400 rows
    assert found.evaluation["row_count"] == 400
    assert found.evaluation["accuracy"] == pytest.approx(0.9)
    assert found.self_test.inputs["x"].shape == [3, 64]


def test_logits_are_known_as_logits_and_become_probabilities(assets: Path, tmp_path: Path) -> None:
    model = make_assets.sound()
    del model.graph.node[2:]  # without the softmax
    model.graph.node[1].output[0] = "probabilities"
    path = tmp_path / "logits.onnx"
    path.write_bytes(model.SerializeToString())
    inspector = inspector_for(path)
    rows = evaluation_set_load(assets / "sound.npz")
    found = inspector.measure(path, inspector.inspect(path), rows, lambda _ratio, _text: None)
    assert found.scores is not None
    assert found.scores.kind == "logit"
    confidence = found.profile.feature("confidence")
    assert confidence is not None
    assert 0 < confidence.edges[0] <= confidence.edges[-1] <= 1


def test_a_large_input_gets_one_self_test_row_that_is_short_to_write(tmp_path: Path) -> None:
    side = 150  # 22,500 values: more than one row of them would make the manifest heavy
    matrix = np.zeros((side * side, make_assets.CLASSES), dtype=np.float32)
    matrix[:10, :] = np.eye(10, dtype=np.float32)
    path, set_path = tmp_path / "large.onnx", tmp_path / "large.npz"
    path.write_bytes(make_assets.sound(matrix, ["N", 1, side, side]).SerializeToString())
    x = np.random.default_rng(1).uniform(size=(20, 1, side, side)).astype(np.float32)
    np.savez(set_path, x=x, y=np.arange(20) % 10)
    inspector = inspector_for(path)
    rows = evaluation_set_load(set_path)
    found = inspector.measure(path, inspector.inspect(path), rows, lambda _ratio, _text: None)
    tensor = found.self_test.inputs["x"]
    assert tensor.shape == [1, 1, side, side]
    assert all(float(value * 64).is_integer() for value in tensor.values)
