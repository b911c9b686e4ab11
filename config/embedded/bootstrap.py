"""Make the environment in ``.venv`` and the built dashboard, then become the command that needs them.

    python3 -m config.embedded.bootstrap {demo,dev} [--dashboard packages|built] [-- python arguments]

Standard library only, Python 3.11+. Every step is keyed on the contents it was made from, so that a second start does
nothing and needs no network. ``dev`` is ``demo`` and what checks and tests need; both live in the one ``.venv``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import signal
import sys
from pathlib import Path
from typing import NoReturn

from config.embedded.console import StartError, say
from config.embedded.state import DEFAULT_STATE, ROOT, Lock, digest, read_json, write_private
from config.embedded.steps import run_step

MINIMUM_PYTHON = (3, 11)
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "flotilla-stamps.json"
FRONTEND = ROOT / "frontend"
DASHBOARD = ("none", "packages", "built")
REQUIREMENTS = {"demo": "requirements-demo.txt", "dev": "requirements-dev.txt"}
# Measured on Linux x86-64; said before anything is downloaded.
DOWNLOADS = {
    "demo": "about 330 MB of Python packages (1 GB on disk)",
    "dev": "about 480 MB of Python packages (1.5 GB on disk)",
}
DASHBOARD_DOWNLOAD = "about 60 MB for the dashboard (250 MB on disk)"
# What the dashboard is built from; its tests and tool caches are not.
DASHBOARD_SOURCES = ("src", "public", "index.html", "package.json", "package-lock.json")


def main(arguments: list[str]) -> int:
    """Bring the environment up to date and run the command; returns a status only when that is not possible."""
    options, command = _parse(arguments)
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        _require_python()
        environment = tool_environment()
        lock = Lock(_writable_state() / "setup.lock")
        if not lock.acquire():
            say(f"waiting for another set-up of {ROOT} to end")
            lock.acquire(patience_s=1800)
        try:
            _bring_up_to_date(options.kind, dashboard=options.dashboard, environment=environment)
        finally:
            lock.release()
    except StartError as error:
        say(f"flotilla: {error.line()}")
        return 1
    except KeyboardInterrupt:
        say("flotilla: interrupted; run the same command again to go on")
        return 130
    if command:
        # The command takes this process's place, so that signals sent to us reach it.
        _become(command, environment)
    return 0


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    os.chdir(ROOT)
    os.execve(PYTHON, [str(PYTHON), *command], environment)  # noqa: S606 - no shell is wanted


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    own, command = arguments, []
    if "--" in arguments:
        cut = arguments.index("--")
        own, command = arguments[:cut], arguments[cut + 1 :]
    parser = argparse.ArgumentParser(prog="bootstrap", description=__doc__)
    parser.add_argument("kind", choices=sorted(REQUIREMENTS))
    parser.add_argument("--dashboard", choices=DASHBOARD, default="none", help="what the command needs of it")
    return parser.parse_args(own), command


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _writable_state() -> Path:
    try:
        DEFAULT_STATE.mkdir(mode=0o700, exist_ok=True)
        (DEFAULT_STATE / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartError(f"cannot write to {DEFAULT_STATE}: {error.strerror}") from error
    return DEFAULT_STATE


def _require_python() -> None:
    if sys.version_info < MINIMUM_PYTHON:
        raise StartError(f"Python 3.11 or newer is needed; {sys.executable} is {platform.python_version()}")
    if PYTHON.exists():
        return  # made before: what is needed to make it may be gone again
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise StartError(
            f"{sys.executable} cannot make virtual environments; install the package python3-venv "
            f"(Debian, Ubuntu: apt-get install python3-venv)"
        )


def tool_environment() -> dict[str, str]:
    """Our variables, with the environment's programs first on the path and a home that exists.

    pip, npm and node write caches into the home; without one they would write to the root of the file system.
    """
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(VENV / "bin"), environment.get("PATH") or os.defpath])
    environment["VIRTUAL_ENV"] = str(VENV)
    # Foreign packages are not ours; and without kept byte code every process would compile all of them at each start.
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    home = environment.get("HOME", "")
    if not home or not os.access(home, os.W_OK | os.X_OK):
        substitute = DEFAULT_STATE / "home"
        substitute.mkdir(mode=0o700, parents=True, exist_ok=True)
        environment["HOME"] = str(substitute)
    return environment


def _bring_up_to_date(kind: str, *, dashboard: str, environment: dict[str, str]) -> None:
    log = DEFAULT_STATE / "logs" / "setup.log"
    venv = _venv_is_usable()
    stamps = _current_stamps() if venv else {}
    has_dashboard = dashboard != "none" and (FRONTEND / "package.json").exists()
    needs_packages = not _packages_are_current(kind, stamps)
    needs_agent = not _agent_is_current(stamps)
    needs_modules = has_dashboard and not _modules_are_current(stamps)
    needs_build = has_dashboard and dashboard == "built" and not _dashboard_is_current(stamps)
    if not (needs_packages or needs_agent or needs_modules or needs_build):
        return
    sizes = [*([DOWNLOADS[kind]] if needs_packages else []), *([DASHBOARD_DOWNLOAD] if needs_modules else [])]
    if sizes:
        say(f"First start: downloads {' and '.join(sizes)}; 2 to 5 minutes on an ordinary line.")
    log.write_bytes(b"")
    if not venv:
        _make_venv(log, environment)
    if needs_packages:
        _install_packages(kind, stamps, log, environment)
    if needs_agent:
        _install_agent(stamps, log, environment)
    if needs_modules:
        _install_modules(stamps, log, environment)
    if needs_build:
        _build_dashboard(stamps, log, environment)


# --- What is there ---------------------------------------------------------------------------------


def _venv_is_usable() -> bool:
    """Scripts in an environment carry its path: a moved checkout, or one left half-made, needs it anew."""
    configuration = VENV / "pyvenv.cfg"
    if not PYTHON.exists() or not (VENV / "bin" / "pip").exists() or not configuration.exists():
        return False
    return any(
        line.startswith("command = ") and line.endswith(f" {VENV}")
        for line in configuration.read_text(encoding="utf-8").splitlines()
    )


def _current_stamps() -> dict[str, str]:
    """What was made, by the digest of what it was made from."""
    return {name: value for name, value in read_json(STAMPS).items() if isinstance(value, str)}


def _save(stamps: dict[str, str]) -> None:
    write_private(STAMPS, json.dumps(stamps, indent=1))


def _is_current(stamps: dict[str, str], name: str, key: str, product: Path) -> bool:
    return stamps.get(name) == key and product.exists()


def _packages_are_current(kind: str, stamps: dict[str, str]) -> bool:
    """``dev`` includes ``demo``: it was made from the demo's list as it was then."""
    demo_key = digest([ROOT / REQUIREMENTS["demo"]])
    if kind == "demo":
        return stamps.get("packages") == demo_key
    return stamps.get("packages") == demo_key and stamps.get("dev") == digest([ROOT / REQUIREMENTS["dev"]])


def _agent_key() -> str:
    return digest([ROOT / "agent" / "pyproject.toml"])


def _agent_is_current(stamps: dict[str, str]) -> bool:
    return not (ROOT / "agent" / "pyproject.toml").exists() or stamps.get("agent") == _agent_key()


def _modules_key() -> str:
    return digest([FRONTEND / "package-lock.json", FRONTEND / "package.json"])


def _modules_are_current(stamps: dict[str, str]) -> bool:
    return _is_current(stamps, "modules", _modules_key(), FRONTEND / "node_modules")


def _dashboard_key() -> str:
    settings = sorted([*FRONTEND.glob("*.ts"), *FRONTEND.glob("tsconfig*.json"), *FRONTEND.glob("*.cjs")])
    return digest([*(FRONTEND / name for name in DASHBOARD_SOURCES), *settings])


def _dashboard_is_current(stamps: dict[str, str]) -> bool:
    return _is_current(stamps, "dashboard", _dashboard_key(), FRONTEND / "dist" / "index.html")


# --- Making what is missing ------------------------------------------------------------------------


def _make_venv(log: Path, environment: dict[str, str]) -> None:
    run_step(
        "Python environment",
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        log=log,
        cwd=ROOT,
        environment=environment,
        advice="install the package python3-venv",
    )


def _install_packages(kind: str, stamps: dict[str, str], log: Path, environment: dict[str, str]) -> None:
    stamps.pop("packages", None)
    stamps.pop("dev", None)
    _save(stamps)  # a half-done installation is not taken for a whole one
    run_step(
        "Python packages",
        [
            *(str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
            *("--progress-bar", "off", "--require-hashes", "-r", REQUIREMENTS[kind]),
        ],
        log=log,
        cwd=ROOT,
        environment=environment,
        advice="is the network there?",
    )
    stamps["packages"] = digest([ROOT / REQUIREMENTS["demo"]])
    if kind == "dev":
        stamps["dev"] = digest([ROOT / REQUIREMENTS["dev"]])
    _save(stamps)


def _install_agent(stamps: dict[str, str], log: Path, environment: dict[str, str]) -> None:
    run_step(
        "Device agent",
        [
            *(str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--editable", "./agent"),
        ],
        log=log,
        cwd=ROOT,
        environment=environment,
    )
    stamps["agent"] = _agent_key()
    _save(stamps)


def _install_modules(stamps: dict[str, str], log: Path, environment: dict[str, str]) -> None:
    run_step(
        "Dashboard packages",
        ["npm", "ci", "--no-audit", "--no-fund"],
        log=log,
        cwd=FRONTEND,
        environment=environment,
        advice="is the network there?",
    )
    stamps["modules"] = _modules_key()
    _save(stamps)


def _build_dashboard(stamps: dict[str, str], log: Path, environment: dict[str, str]) -> None:
    key = _dashboard_key()  # before the build: a source changed meanwhile is built next time
    run_step("Dashboard", ["npm", "run", "build"], log=log, cwd=FRONTEND, environment=environment)
    stamps["dashboard"] = key
    _save(stamps)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
