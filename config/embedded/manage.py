"""``python -m config.embedded.manage <command>``: ``manage.py`` for an embedded installation that is running."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from config.embedded.console import StartError, say
from config.embedded.postgres import Cluster
from config.embedded.processes import Address, product_environment
from config.embedded.state import DEFAULT_STATE, ROOT, State, read_json


def main(arguments: list[str]) -> int:
    """Run Django's command line; returns its status."""
    parser = argparse.ArgumentParser(prog="python -m config.embedded.manage", description=__doc__)
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="where the installation keeps its data")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what manage.py is told; help lists the commands")
    options = parser.parse_args(arguments)
    try:
        environment = _environment(State(options.state.resolve()))
    except StartError as error:
        say(f"flotilla: {error.line()}")
        return 1
    os.umask(0o077)
    command = [sys.executable, "manage.py", *options.command]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _environment(state: State) -> dict[str, str]:
    """What the installation's own processes have.

    Raises:
        StartError: it is not running, and with it its database.
    """
    url = urlsplit(str(read_json(state.demo_json).get("url", "")))
    run = read_json(state.processes_json).get("run")
    if not (url.hostname and url.port and isinstance(run, str)):
        raise StartError(f"no installation runs in {state.root}; start it first: make demo")
    return product_environment(state, Cluster(state.postgres), Address(url.hostname, url.port), run, control_port=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
