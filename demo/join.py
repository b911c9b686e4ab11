"""One more real agent, by one line in another terminal while ``make demo`` runs:

    .venv/bin/python -m demo.join device-64

It asks the API for an enrolment token, says the command that a device would be given, and becomes it. Ctrl-C ends the
agent; the same line goes on with the same device.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import httpx

from demo.world import PLACES, X86_GATEWAY

DEMO_JSON = Path(__file__).resolve().parent.parent / ".flotilla" / "demo.json"
TIMEOUT_S = 10.0


class JoinError(Exception):
    """There is nothing to join; the text says what to do."""


def main(arguments: list[str]) -> None:
    """Become the agent; exits with status 1 when that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m demo.join", description="Run one more real agent in the demo.")
    parser.add_argument("id", nargs="?", default="device-64", help="the device's own id (default device-64)")
    parser.add_argument("--profile", default=X86_GATEWAY.name, help="its hardware profile (default %(default)s)")
    parser.add_argument("--site", default=PLACES[0].name, help="where it stands (default %(default)s)")
    parser.add_argument("--demo-json", type=Path, default=DEMO_JSON, help="login of the running demo")
    options = parser.parse_args(arguments)
    try:
        command = agent_command(options.demo_json, options.id, profile=options.profile, site=options.site)
    except JoinError as error:
        sys.exit(f"join: {error}")
    print(f"+ {shlex.join(command)}", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "flotilla_agent", *command[1:]])  # noqa: S606 - no shell is wanted


def agent_command(demo_json: Path, controller_id: str, *, profile: str, site: str) -> list[str]:
    """The line a device is given: ``flotilla-agent run ...``, with a token unless it has joined before.

    Raises:
        JoinError: the demo does not run, or refuses a token.
    """
    try:
        demo: dict[str, Any] = json.loads(demo_json.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JoinError(f"{demo_json} cannot be read: start `make demo` first, and wait for its address") from error
    folder = demo_json.parent / "demo"
    state = folder / "by-hand" / controller_id
    command = [
        *("flotilla-agent", "run", "--server", demo["url"], "--tenant", "demo", "--id", controller_id),
        *("--profile", profile, "--state", str(state), "--source", str(folder / "camera.npz")),
    ]
    if (state / "identity" / "enrolment.json").exists():
        return command
    return [*command, "--token", _token(demo, controller_id, site)]


def _token(demo: dict[str, Any], controller_id: str, site: str) -> str:
    try:
        answer = httpx.post(
            f"{demo['url']}/api/v1/enrolment-tokens/",
            headers={"Authorization": f"Bearer {demo['api_token']}"},
            json={"name": controller_id, "site": site, "labels": {"kind": "by hand"}, "expires_in_s": 3600},
            timeout=TIMEOUT_S,
            trust_env=False,
        )
    except httpx.TransportError as error:
        raise JoinError(f"{demo['url']} does not answer: {error}") from error
    if not answer.is_success:
        raise JoinError(f"no token: {answer.json().get('message', answer.status_code)}")
    token: str = answer.json()["token"]
    return token


if __name__ == "__main__":
    main(sys.argv[1:])
