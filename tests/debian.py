"""The programs that come from the distribution: ``tests/debian-packages.txt``, one per line.

Each line is ``package  use  program...``: present when any of the programs is on the path, or matches as a pattern of
absolute paths. As root missing ones are installed; otherwise the run says what is left out.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from config.embedded.console import StartError, say
from config.embedded.state import DEFAULT_STATE, ROOT
from config.embedded.steps import run_step

LIST = Path(__file__).parent / "debian-packages.txt"


@dataclass(frozen=True)
class Package:
    """One line of the list."""

    name: str
    use: str  # browser | figures | services
    programs: tuple[str, ...]

    def is_present(self) -> bool:
        """Whether one of its programs is here."""
        return any(find(program) for program in self.programs)


def find(program: str) -> Path | None:
    """A program on the path, or the newest match of an absolute pattern."""
    if program.startswith("/"):
        matches = sorted(Path("/").glob(program[1:]))
        return matches[-1] if matches else None
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    return Path(path) if path else None


def packages(*uses: str) -> list[Package]:
    """The packages for some uses."""
    rows = [line.partition("#")[0].split() for line in LIST.read_text(encoding="utf-8").splitlines()]
    listed = [Package(name=row[0], use=row[1], programs=tuple(row[2:])) for row in rows if row]
    return [package for package in listed if package.use in uses]


def provide(*uses: str) -> list[Package]:
    """Install what is missing where that is possible; returns what stays missing."""
    missing = [package for package in packages(*uses) if not package.is_present()]
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return missing
    log = DEFAULT_STATE / "logs" / "debian.log"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    names = [package.name for package in missing]
    try:
        run_step("Package lists", ["apt-get", "update"], log=log, cwd=ROOT, environment=environment)
        run_step(
            f"Packages {' '.join(names)}",
            ["apt-get", "install", "--yes", "--no-install-recommends", *names],
            log=log,
            cwd=ROOT,
            environment=environment,
        )
    except StartError as error:
        say(error.line())
    return [package for package in missing if not package.is_present()]
