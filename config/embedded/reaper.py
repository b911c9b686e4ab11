"""Cleans up after a supervisor that was killed: ``python -m config.embedded.reaper <state folder> <run>``.

Its standard input is a pipe whose other end only the supervisor holds, so end of file means that the supervisor is
gone, for whatever reason and on every operating system. It then ends what is left of the run, the database last.
After an orderly stop there is nothing left to do. It also inherits the installation's lock: a new start waits for it.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from config.embedded.family import end_family
from config.embedded.postgres import Cluster, clear_leftovers
from config.embedded.state import State, read_json


def main(folder: Path, run: str) -> None:
    """Wait for the supervisor's end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while sys.stdin.buffer.read(1):
        pass
    state = State(folder)
    record = read_json(state.processes_json)
    processes = record.get("processes", {}) if record.get("run") == run else {}
    sessions = [
        entry["pid"] for name, entry in processes.items() if name != "postgres" and entry.get("pid") is not None
    ]
    end_family(run, sessions)
    clear_leftovers(Cluster(state.postgres))
    state.demo_json.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
