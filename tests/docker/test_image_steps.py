"""The image's steps, run by hand: quickly without downloads, and whole by ``make soak ONLY=image``."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docker.dockerfile import ROOT, Stage, command_parse
from tests.docker.image_steps import ByHand
from tests.soak.plugin import Soak, is_long_run

START_DEADLINE_S = 60


def _environment(steps: ByHand, runtime: Stage) -> dict[str, str]:
    """The image's variables with our paths moved, and what an operator must give."""
    ours = {name: steps.text(runtime.name, value) for name, value in runtime.environment().items()}
    given = {name: os.environ[name] for name in ("DATABASE_URL", "FLOTILLA_BROKER_DIR", "CELERY_BROKER_URL")}
    return {
        **ours,
        **given,
        "FLOTILLA_SECRET_KEY": "image-" + "0123456789" * 4,
        "FLOTILLA_PUBLIC_URL": "https://flotilla.test",
        "ARTIFACT_STORES": f"main=local://{steps.place(runtime.name, '/var/lib/flotilla/artifacts')}",
    }


def _python(steps: ByHand, runtime: Stage) -> str:
    own = steps.place(runtime.name, "/opt/flotilla/venv/bin/python")
    return str(own) if own.exists() else sys.executable


def _run(steps: ByHand, runtime: Stage, *arguments: str) -> str:
    done = subprocess.run(
        [_python(steps, runtime), *arguments],
        cwd=steps.place(runtime.name, "/opt/flotilla/app"),
        env=_environment(steps, runtime),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.soak("image")
@pytest.mark.timeout(1800)
def test_what_the_image_holds_is_enough_to_run_every_process(soak: Soak, tmp_path: Path) -> None:
    steps = ByHand(folder=tmp_path / "image", log=tmp_path / "log", downloads=is_long_run())
    runtime = steps.build()
    app = steps.place(runtime.name, "/opt/flotilla/app")
    for name in ("keys", "uploads"):
        folder = steps.place(runtime.name, f"/var/lib/flotilla/{name}")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    program = (
        "import sys, config.asgi, config.gateway, config.celery, flotilla_protocol;"
        "from fleet.management.commands import flotilla_device_authorities;"
        "print(config.asgi.__file__); print(flotilla_protocol.__file__)"
    )
    files = _run(steps, runtime, "-c", program).splitlines()
    assert all(Path(file).is_relative_to(app) for file in files), files
    assert "migrate" in _run(steps, runtime, "manage.py", "help", "--commands")
    if is_long_run():
        _run(steps, runtime, "manage.py", "migrate", "--no-input")
        assert (app / "frontend/dist/index.html").exists()
        _serves(steps, runtime)
    soak.count("steps", len(runtime.instructions))


def _serves(steps: ByHand, runtime: Stage) -> None:
    """The image's own command answers the image's own health check."""
    command = command_parse(runtime.all("CMD")[0])
    check = command_parse(runtime.all("HEALTHCHECK")[0].partition(" CMD ")[2])
    assert command[0] == check[0] == "python"
    python = _python(steps, runtime)
    environment = _environment(steps, runtime)
    app = steps.place(runtime.name, "/opt/flotilla/app")
    with steps.log.open("ab") as output:
        server = subprocess.Popen([python, *command[1:]], cwd=app, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while subprocess.run([python, *check[1:]], env=environment, capture_output=True, check=False).returncode:
            assert server.poll() is None, steps.log.read_text()[-4000:]
            assert time.monotonic() < deadline, f"{shlex.join(check)} stays unhealthy"
            time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(30)


def test_a_step_that_fails_is_not_overlooked(tmp_path: Path) -> None:
    steps = ByHand(folder=tmp_path / "image", log=tmp_path / "log", downloads=False)
    with pytest.raises(AssertionError, match="false"):
        steps._run(Stage(name="runtime", base="x"), "true && false", ROOT)
