"""``make lint``: style, formatting, types, import directions, and the dashboard's own checks. Runs all, then fails."""

from __future__ import annotations

import subprocess
import sys

from config.embedded.console import say
from config.embedded.state import ROOT

PYTHON = sys.executable
FRONTEND = ROOT / "frontend"
CHECKS: dict[str, tuple[list[str], str]] = {
    "style": ([PYTHON, "-m", "ruff", "check", "."], "."),
    "formatting": ([PYTHON, "-m", "ruff", "format", "--check", "."], "."),
    "types": ([PYTHON, "-m", "mypy"], "."),
    "imports": ([PYTHON, "-m", "pytest", "-q", "tests/contract/test_imports.py"], "."),
    "dashboard style": (["npm", "run", "--silent", "lint"], "frontend"),
    "dashboard types": (["npm", "run", "--silent", "typecheck"], "frontend"),
}


def main() -> int:
    """Run every check; returns 1 when any failed."""
    failed = []
    for name, (command, folder) in CHECKS.items():
        if folder == "frontend" and not (FRONTEND / "package.json").exists():
            continue
        say(f"{name}: {' '.join(command[1:] if command[0] == PYTHON else command)}")
        if subprocess.run(command, cwd=ROOT / folder, check=False).returncode:
            failed.append(name)
    say(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
