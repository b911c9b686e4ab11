"""The command as people and supervisors use it: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flotilla_agent.cli import main
from flotilla_agent.inference.perturbation import PerturbationFile
from flotilla_agent.inference.source import RecordedSource, SourceError, rows_load
from tests.agent.conftest import Bench
from tests.simulator_server.models import pictures, publish
from tests.simulator_server.plane import TENANT, ControlPlane

ROOT = Path(__file__).resolve().parents[2]
V1 = publish("1.0", seed=1)
V2 = publish("1.1", seed=2)
DEADLINE_S = 30.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flotilla_agent", *arguments]


ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'agent'}{os.pathsep}{ROOT / 'protocol'}"}


def wait(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert process.poll() is None, "the agent ended"
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.02)


def test_help_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in ("run", "enrol", "status", "--token", "kill -9"):
        assert word in said


def test_a_new_device_without_a_token_is_told_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--server", "http://127.0.0.1:9", "--tenant", "demo", "--id", "x", "--state", str(tmp_path))
    assert main(["enrol", *where]) == 1
    assert "--token" in capsys.readouterr().err


def test_a_source_that_is_none_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enrol", "--state", str(tmp_path)]) == 1
    assert main(["status", "--state", str(tmp_path / "missing")]) == 1
    capsys.readouterr()
    with pytest.raises(SourceError, match="cannot be used"):
        rows_load(tmp_path / "missing.npz")


def test_the_status_of_a_device_can_be_asked_beside_it(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.install(V1)
    assert main(["status", "--state", str(bench.folder)]) == 0
    said = capsys.readouterr().out
    assert "shapes 1.0" in said
    assert "last action 1" in said


def test_a_running_source_is_perturbed_through_its_file(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    control = PerturbationFile(bench.folder / "control.json")
    source = RecordedSource(pictures(20), control, seed=1)
    source.CONTROL_INTERVAL_S = 0.0
    usual = source.read().std()
    assert main(["perturb", "--state", str(bench.folder), "--contrast", "0.1"]) == 0
    assert source.read().std() < usual / 2
    (bench.folder / "control.json").write_text("nonsense")
    assert source.read().std() < usual / 2
    (bench.folder / "control.json").unlink()
    assert source.read().std() > usual / 2


@pytest.mark.timeout(120)
def test_one_pasted_line_enrols_and_runs_and_survives_kill_9_in_an_update(plane: ControlPlane, tmp_path: Path) -> None:
    source = tmp_path / "pictures.npz"
    np.savez(source, x=pictures(50), y=np.zeros(50))
    state = tmp_path / "state"
    plane.poll_interval_s = 0.1
    line = command(
        "run",
        *("--server", plane.url, "--tenant", TENANT, "--token", plane.token(), "--id", "my-device"),
        *("--profile", "x86-laptop", "--source", str(source), "--rate", "50", "--state", str(state)),
    )
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(line, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        wait(lambda: "my-device" in plane.devices, process)
        device = plane.devices["my-device"]
        plane.publish(V1)
        first = plane.order("my-device", V1)
        wait(lambda: first.result == "success", process)
        wait(lambda: any(batch.windows for batch in device.batches), process)
        wait(lambda: any(batch.health for batch in device.batches), process)

        plane.publish(V2)
        second = plane.order("my-device", V2, soak_s=0.2)
        wait(lambda: bool(second.feedback), process)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
        process = subprocess.Popen(line, env=ENVIRONMENT, stdout=log, stderr=log)
        wait(
            lambda: (
                second.result == "success"
                and bool(device.reports)
                and device.reports[-1].running[0].version == "1.1"
                and device.reports[-1].soak.clean is True
            ),
            process,
        )
        sequences: dict[int, list[int]] = {}
        for batch in device.batches:
            sequences.setdefault(batch.stream, []).append(batch.sequence)
        for numbers in sequences.values():
            assert numbers == sorted(set(numbers))

        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()
