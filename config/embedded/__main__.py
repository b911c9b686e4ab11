"""``python -m config.embedded``: what ``make demo`` runs once the environment is made."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from pathlib import Path

from config.embedded.console import StartError, say
from config.embedded.processes import MAXIMUM_PORT, Address, demo_is_present, process_table, story_table
from config.embedded.signals import StopSignals
from config.embedded.state import DEFAULT_STATE, State
from config.embedded.supervisor import Supervisor
from config.env import Environment, EnvironmentValueError


def main(arguments: list[str]) -> int:
    """Run the installation; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description=__doc__)
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="where the installation keeps its data")
    parser.add_argument("--without-story", action="store_true", help="an empty installation, no demo devices")
    options = parser.parse_args(arguments)
    has_story = demo_is_present() and not options.without_story
    os.umask(0o077)
    try:
        environment = Environment(os.environ)
        reset = environment.flag("RESET", default=False)
        supervisor = Supervisor(
            State(options.state.resolve()),
            _address(environment),
            StopSignals(),
            table=story_table if has_story else process_table,
        )
        return supervisor.run(reset=reset)
    except (StartError, EnvironmentValueError) as error:
        say(f"flotilla: {error.line() if isinstance(error, StartError) else error}")
        return 1


def _address(environment: Environment) -> Address:
    bind = environment.text("FLOTILLA_BIND", "127.0.0.1")
    try:
        ipaddress.ip_address(bind)
    except ValueError as error:
        raise EnvironmentValueError(f"FLOTILLA_BIND={bind!r} is not an IP address") from error
    return Address(bind, environment.integer("FLOTILLA_PORT", 8000, minimum=1, maximum=MAXIMUM_PORT))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
