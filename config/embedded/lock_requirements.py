"""``make lock``: resolve ``requirements*.in`` into files with exact versions and hashes, for every platform.

What is locked and still fits stays; ``UPGRADE=1`` takes the newest of everything.
"""

from __future__ import annotations

import os
import subprocess
import sys

from config.embedded.state import ROOT

# In this order: each list includes the one before as it was just locked.
LISTS = ("requirements", "requirements-demo", "requirements-dev")
OPTIONS = ("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header")


def main() -> int:
    """Lock all three; stops at the first failure."""
    options = [*OPTIONS, "--upgrade"] if os.environ.get("UPGRADE") == "1" else OPTIONS
    for name in LISTS:
        command = [sys.executable, "-m", "uv", "pip", "compile", *options, f"{name}.in", "-o", f"{name}.txt"]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
