"""Hostile files meet the sandbox: each is refused by name, and none gets out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from models_registry.errors import ModelRejectedError, SandboxUnavailableError
from models_registry.sandbox.confinement import Limits
from models_registry.services import sandbox
from models_registry.services.sandbox import EVALUATION_SET_LIMITS, sandbox_run, version_limits

LIMITS = Limits(memory_bytes=1_600_000_000, cpu_s=20, wall_s=30.0)


def validate(assets: Path, model: str, limits: Limits = LIMITS) -> dict[str, Any]:
    return sandbox_run(
        "version",
        {"model": str(assets / model), "evaluation_set": str(assets / "sound.npz")},
        limits=limits,
    )


def test_a_sound_model_is_described_and_measured(assets: Path) -> None:
    result = validate(assets, "sound.onnx")
    assert result["inspection"]["opset"] == 18
    assert result["inspection"]["operators"] == ["Flatten", "MatMul", "Softmax"]
    assert result["inspection"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["N", 64]}]
    assert result["labels"][3] == "three"
    assert result["scores"] == {"output": "probabilities", "kind": "probability"}
    evaluation = result["evaluation"]
    # Every tenth of the 400 rows carries another class's label: 360 / 400 are right.
    assert evaluation["accuracy"] == pytest.approx(0.9)
    assert evaluation["row_count"] == 400
    assert sum(map(sum, evaluation["confusion"])) == 400
    # Rows 0, 10, ... are of class 0 and labelled 1: all 40 that carry the label 0 are right, 40 of 80 with 1.
    assert evaluation["accuracy_by_class"]["zero"] is None
    assert evaluation["accuracy_by_class"]["one"] == pytest.approx(0.5)
    assert evaluation["confusion"][1][0] == 40
    assert 0 < evaluation["latency_ms_p50"] <= evaluation["latency_ms_p95"]
    features = {feature["name"]: feature for feature in result["profile"]["features"]}
    assert set(features) == {"brightness", "contrast", "confidence", "margin", "class"}
    assert len(features["brightness"]["counts"]) == 60
    assert len(features["class"]["counts"]) == 10
    assert result["self_test"]["inputs"]["x"]["shape"] == [8, 64]
    assert result["self_test"]["expected"]["probabilities"]["shape"] == [8, 10]


def test_a_model_that_asks_for_more_memory_than_there_is_is_refused(assets: Path) -> None:
    with pytest.raises(ModelRejectedError) as caught:
        validate(assets, "shape_bomb.onnx")
    assert caught.value.error_code == "memory_limit"


def test_a_refusal_reaches_the_parent_without_the_server_s_paths(assets: Path) -> None:
    with pytest.raises(ModelRejectedError) as caught:
        validate(assets, "unknown_operator.onnx")
    assert caught.value.error_code == "cannot_load"
    assert "PhoneHome" in caught.value.text
    assert str(assets) not in caught.value.text


def test_a_sound_evaluation_set_is_counted(assets: Path) -> None:
    result = sandbox_run("evaluation-set", {"path": str(assets / "sound.npz")}, limits=EVALUATION_SET_LIMITS)
    assert (result["row_count"], result["row_shape"], result["class_count"]) == (400, [64], 10)


def test_a_model_that_never_ends_is_stopped_by_its_cpu_limit(assets: Path) -> None:
    with pytest.raises(ModelRejectedError, match="CPU time") as caught:
        validate(assets, "endless_loop.onnx", Limits(memory_bytes=LIMITS.memory_bytes, cpu_s=2, wall_s=30.0))
    assert caught.value.error_code == "time_limit"


def test_a_model_that_never_ends_is_stopped_by_the_wall_clock(assets: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ModelRejectedError, match="longer than") as caught:
        validate(assets, "endless_loop.onnx", Limits(memory_bytes=LIMITS.memory_bytes, cpu_s=60, wall_s=2.0))
    assert caught.value.error_code == "time_limit"
    assert time.monotonic() - started < 10


def test_what_the_progress_report_raises_ends_the_child(assets: Path) -> None:
    seen: list[tuple[float, str]] = []

    class LostError(Exception):
        pass

    def report(ratio: float, text: str) -> None:
        seen.append((ratio, text))
        raise LostError

    with pytest.raises(LostError):
        sandbox_run(
            "version",
            {"model": str(assets / "endless_loop.onnx"), "evaluation_set": str(assets / "sound.npz")},
            limits=LIMITS,
            on_progress=report,
        )
    assert seen


PROBE = """
import json, os, socket, sys
from models_registry.sandbox.confinement import Limits, confine
held = confine(Limits(memory_bytes=2_000_000_000, cpu_s=10, wall_s=10.0))
found = {"held": held, "environment": sorted(os.environ)}
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2)
    found["network"] = "reached"
except OSError as error:
    found["network"] = type(error).__name__
try:
    with open("loot", "wb") as file:
        file.write(b"x")
    found["file"] = "written"
except BaseException as error:
    found["file"] = type(error).__name__
print(json.dumps(found))
"""


def test_the_confined_process_reaches_no_network_and_writes_no_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-c", PROBE, str(port)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(sandbox.__file__).parents[2])},
            capture_output=True,
            timeout=30,
            check=True,
        )
    found = json.loads(ended.stdout)
    assert {"memory", "cpu", "files", "processes"} <= set(found["held"])
    assert found["file"] != "written"
    if sys.platform == "linux" and "no_network" not in found["held"]:
        pytest.skip("this machine forbids namespaces: the network stays reachable (docs/operators/storage.md)")
    assert found["network"] != "reached"


def test_the_child_is_told_no_secret(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOTILLA_SECRET_KEY", "do-not-tell")
    started: list[dict[str, str]] = []
    original = subprocess.Popen

    def watched(*args: Any, **kwargs: Any) -> Any:
        started.append(kwargs["env"])
        return original(*args, **kwargs)

    monkeypatch.setattr(sandbox.subprocess, "Popen", watched)
    validate(assets, "sound.onnx")
    assert started
    assert not [name for name in started[0] if "FLOTILLA" in name or "DATABASE" in name or "SECRET" in name]
    assert "do-not-tell" not in json.dumps(started[0])
    assert os.environ["FLOTILLA_SECRET_KEY"] == "do-not-tell"


def test_a_child_that_is_killed_is_worth_another_try(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = subprocess.Popen

    def killed_at_birth(*args: Any, **kwargs: Any) -> Any:
        child = original(*args, **kwargs)
        child.kill()
        return child

    monkeypatch.setattr(sandbox.subprocess, "Popen", killed_at_birth)
    with pytest.raises(SandboxUnavailableError) as caught:
        validate(assets, "sound.onnx")
    assert caught.value.retryable


def test_memory_grows_with_the_files_and_has_an_end() -> None:
    small = version_limits(model_bytes=1_000, evaluation_bytes=1_000).memory_bytes
    large = version_limits(model_bytes=200_000_000, evaluation_bytes=1_000_000).memory_bytes
    assert small < large
    assert version_limits(model_bytes=10**12, evaluation_bytes=0).memory_bytes == 16_000_000_000
