"""``make test``: everything that must be green, in the order in which it fails soonest.

1. the dashboard's own tests;
2. tests marked ``sql`` on the oldest PostgreSQL there is (a server on this machine, or one from the distribution);
3. all of pytest on the embedded PostgreSQL, so that its closing lines are the last thing said.

With ``REQUIRE_SERVICES=1`` a missing program or service is a failure; otherwise it is said and left out. Arguments go
to pytest, and then only step 3 runs.
"""

from __future__ import annotations

import os
import subprocess
import sys

from config.embedded.console import StartError, say
from config.embedded.state import DEFAULT_STATE, ROOT
from config.embedded.steps import run_step
from tests.debian import provide

BROWSERS = DEFAULT_STATE / "browsers"
WORKERS = 2


def main(arguments: list[str]) -> int:
    """Run everything; returns the worst status."""
    is_required = os.environ.get("REQUIRE_SERVICES") == "1"
    try:
        absent = [package.name for package in provide("browser", *(["services"] if is_required else []))]
        _provide_browser(absent)
        if absent:
            say(f"not to be had here: {', '.join(absent)}")
            if is_required:
                return 1
        if arguments:
            return _pytest(*arguments)
        parallel = ("-n", str(WORKERS), "--dist", "loadgroup")
        statuses = [_dashboard_tests(), _pytest("-m", "sql", *parallel, oldest=True), _pytest(*parallel)]
    except StartError as error:
        say(f"flotilla: {error.line()}")
        return 1
    return max(statuses)


def _provide_browser(absent: list[str]) -> None:
    """A Chromium: on the path, else Playwright's own."""
    if "chromium" not in absent:
        return
    os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(BROWSERS)
    if not any(BROWSERS.glob("chromium*")):
        try:
            run_step(
                "Chromium",
                [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"],
                log=DEFAULT_STATE / "logs" / "setup.log",
                cwd=ROOT,
            )
        except StartError as error:
            say(error.line())
            return
    absent.remove("chromium")


def _dashboard_tests() -> int:
    if not (ROOT / "frontend" / "package.json").exists():
        return 0
    return subprocess.run(["npm", "test"], cwd=ROOT / "frontend", check=False).returncode


def _pytest(*arguments: str, oldest: bool = False) -> int:
    environment = dict(os.environ)
    if oldest:
        environment["FLOTILLA_TEST_POSTGRES"] = "oldest"
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    no_tests_collected = 5
    return 0 if oldest and status == no_tests_collected else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
