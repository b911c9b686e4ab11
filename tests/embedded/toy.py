"""A small product for the supervisor's tests: ``python -m tests.embedded.toy <state folder> <port>``.

The supervisor, the database and the reaper are the real ones; what they supervise is small and badly behaved where it
matters: ``stubborn`` ignores requests to stop and starts a child that leaves its session.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from config.embedded.console import StartError, say
from config.embedded.processes import Address, ProcessSpec
from config.embedded.signals import StopSignals
from config.embedded.state import State
from config.embedded.supervisor import Supervisor

MODULE = (sys.executable, "-m", "tests.embedded.toy")


def table(state: State, address: Address) -> list[ProcessSpec]:
    return [
        ProcessSpec(name="web", command=(*MODULE, "web", str(address.port))),
        ProcessSpec(name="stubborn", command=(*MODULE, "stubborn"), patience_s=0.5),
        ProcessSpec(
            name="story",
            command=(*MODULE, "story"),
            needs_web=True,
            stop_order=0,
            environment={"FLOTILLA_DEMO_JSON": str(state.demo_json)},
        ),
    ]


class Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def web(port: int) -> None:
    ThreadingHTTPServer(("127.0.0.1", port), Alive).serve_forever()


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    time.sleep(3600)


def story() -> None:
    assert Path(os.environ["FLOTILLA_DEMO_JSON"]).exists()
    time.sleep(3600)


def main(arguments: list[str]) -> int:
    roles = {"web": lambda: web(int(arguments[1])), "stubborn": stubborn, "story": story}
    if arguments[0] in roles:
        roles[arguments[0]]()
        return 0
    os.umask(0o077)
    supervisor = Supervisor(
        State(Path(arguments[0])),
        Address("127.0.0.1", int(arguments[1])),
        StopSignals(),
        table=table,
        manage_program=Path(__file__).with_name("toy_manage.py"),
    )
    try:
        return supervisor.run(reset=os.environ.get("RESET") == "1")
    except StartError as error:
        say(f"flotilla: {error.line()}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
