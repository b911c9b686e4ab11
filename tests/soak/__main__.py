"""``make soak ONLY=<name>``: the long forms, one after the other."""

from __future__ import annotations

import os
import subprocess
import sys

from config.embedded.console import say
from config.embedded.state import ROOT
from tests.soak.plugin import RESULTS


def main() -> int:
    """Run pytest with everything large; returns its status."""
    status = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-m", "soak", "-o", "timeout=14400"],
        cwd=ROOT,
        env={**os.environ, "SOAK": "1"},
        check=False,
    ).returncode
    no_tests_collected = 5
    if status == no_tests_collected:
        say(f"no long form is named {os.environ.get('ONLY', '')}...; see `grep -rn mark.soak tests`")
    say(f"results: {RESULTS}")
    return status


if __name__ == "__main__":
    sys.exit(main())
