"""The environment is made once, and said in one line when it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.embedded import bootstrap
from config.embedded.console import StartError
from config.embedded.state import ROOT
from config.embedded.steps import run_step
from tests.embedded.installation import eventually


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with spaces in its path whose environment is said to be whole."""
    root = tmp_path / "a check out"
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "frontend" / "src").mkdir(parents=True)
    for name in ("requirements-demo.txt", "requirements-dev.txt", "frontend/package.json", "frontend/src/main.tsx"):
        (root / name).write_text(name)
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "FRONTEND", root / "frontend")
    monkeypatch.setattr(bootstrap, "VENV", root / ".venv")
    monkeypatch.setattr(bootstrap, "PYTHON", root / ".venv" / "bin" / "python")
    monkeypatch.setattr(bootstrap, "STAMPS", root / ".venv" / "stamps.json")
    monkeypatch.setattr(bootstrap, "DEFAULT_STATE", root / ".flotilla")
    (root / ".flotilla" / "logs").mkdir(parents=True)
    return root


@pytest.fixture
def steps(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the steps that were run, which here only leave their products behind."""
    titles: list[str] = []

    def fake(title: str, _command: list[str], **_: object) -> bytes:
        titles.append(title)
        if title == "Python environment":
            (checkout / ".venv" / "pyvenv.cfg").write_text(f"command = python -m venv {checkout / '.venv'}\n")
            for name in ("python", "pip"):
                (checkout / ".venv" / "bin" / name).touch()
        if title == "Dashboard packages":
            (checkout / "frontend" / "node_modules").mkdir(exist_ok=True)
        if title == "Dashboard":
            (checkout / "frontend" / "dist").mkdir(exist_ok=True)
            (checkout / "frontend" / "dist" / "index.html").touch()
        return b""

    monkeypatch.setattr(bootstrap, "run_step", fake)
    return titles


def bring_up_to_date(kind: str, dashboard: str = "built") -> None:
    bootstrap._bring_up_to_date(kind, dashboard=dashboard, environment={})


def test_a_second_start_does_nothing(steps: list[str]) -> None:
    bring_up_to_date("demo")
    assert steps == ["Python environment", "Python packages", "Dashboard packages", "Dashboard"]
    steps.clear()
    bring_up_to_date("demo")
    assert steps == []


def test_only_what_changed_is_made_again(checkout: Path, steps: list[str]) -> None:
    bring_up_to_date("demo")
    steps.clear()
    (checkout / "frontend" / "src" / "main.tsx").write_text("changed")
    bring_up_to_date("demo")
    assert steps == ["Dashboard"]
    steps.clear()
    (checkout / "requirements-demo.txt").write_text("changed")
    bring_up_to_date("demo")
    assert steps == ["Python packages"]


def test_what_tests_need_serves_the_demo_too(steps: list[str]) -> None:
    bring_up_to_date("dev")
    steps.clear()
    bring_up_to_date("demo")
    assert steps == []


def test_what_the_demo_needs_does_not_serve_tests(steps: list[str]) -> None:
    bring_up_to_date("demo")
    steps.clear()
    bring_up_to_date("dev")
    assert steps == ["Python packages"]


def test_checks_do_not_wait_for_a_dashboard_that_cannot_be_built(steps: list[str]) -> None:
    bring_up_to_date("dev", "packages")
    assert steps == ["Python environment", "Python packages", "Dashboard packages"]


def test_a_moved_environment_is_made_anew(checkout: Path, steps: list[str]) -> None:
    bring_up_to_date("demo")
    steps.clear()
    (checkout / ".venv" / "pyvenv.cfg").write_text("command = python -m venv /elsewhere/.venv\n")
    bring_up_to_date("demo")
    assert steps[:2] == ["Python environment", "Python packages"]


def test_an_interrupted_installation_is_not_taken_for_a_whole_one(
    steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_up_to_date("demo")
    steps.clear()

    def interrupted(title: str, _command: list[str], **_: object) -> bytes:
        raise KeyboardInterrupt(title)

    whole = bootstrap.run_step
    monkeypatch.setattr(bootstrap, "run_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bring_up_to_date("dev")
    monkeypatch.setattr(bootstrap, "run_step", whole)
    bring_up_to_date("demo")
    assert steps == ["Python packages"]


def test_a_python_without_venv_is_one_line_that_names_the_package(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(StartError, match="python3-venv"):
        bootstrap._require_python()


@pytest.mark.parametrize("home", ["", "/does/not/exist"])
def test_without_a_home_tools_get_one(checkout: Path, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    assert bootstrap.tool_environment()["HOME"] == str(checkout / ".flotilla" / "home")
    assert (checkout / ".flotilla" / "home").is_dir()


def test_a_failed_step_is_one_line_and_names_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(StartError) as failure:
        run_step("Packages", [sys.executable, "-c", "import sys; sys.exit('no space left')"], log=log, cwd=tmp_path)
    assert failure.value.line() == f"Packages failed: no space left (details: {log})"


def test_what_a_failed_step_started_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '600']);open('pid', 'w').write(str(p.pid)); sys.exit(1)"
    )
    with pytest.raises(StartError):
        run_step("Step", [sys.executable, "-c", code], log=tmp_path / "log", cwd=tmp_path)
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    eventually(lambda: not stat.exists() or stat.read_text().split()[2] == "Z", deadline_s=5)


def test_no_old_enough_python_is_said_in_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        ["/bin/sh", "config/embedded/python.sh", "--version"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("flotilla: Python 3.11 or newer is needed")
    assert len(result.stderr.splitlines()) == 1


def test_the_bootstrap_needs_the_standard_library_alone() -> None:
    """``-S`` hides installed packages; ``-I`` hides the caller's."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import config.embedded.bootstrap"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
