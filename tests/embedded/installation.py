"""Drives a supervisor from outside, as a person in a terminal does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

from config.embedded.family import family
from config.embedded.postgres import Cluster, server_processes
from config.embedded.processes import OWN_NAMES, free_port
from config.embedded.state import ROOT, State, read_json

DEADLINE_S = 60.0


def eventually(condition: Callable[[], Any], *, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until ``condition`` gives something true, and return that."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {deadline_s} s"
        time.sleep(0.02)
    return value


class RunningInstallation:
    """One supervisor in a process of its own, in a folder of its own.

    Args:
        folder: where the state lies.
        port: where its server listens; a free one when 0.
    """

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self.state = State(folder)
        self.port = port or free_port()
        self.process: subprocess.Popen[str] | None = None

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Program, arguments and variables: the toy's."""
        return [sys.executable, "-m", "tests.embedded.toy", str(self.state.root), str(self.port)], {}

    def start(self, **variables: str) -> None:
        """Start it in a session of its own; what it says is read by :meth:`wait`."""
        command, environment = self.command()
        # What the test run sets for itself (addresses, say) is not meant for an installation of its own.
        inherited = {name: value for name, value in os.environ.items() if name not in OWN_NAMES}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited, **environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_until_ready(self, *, deadline_s: float = DEADLINE_S) -> dict[str, str]:
        """The contents of ``demo.json`` once it is written."""
        assert self.process is not None

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.process.communicate()[0]
            # A run that was killed together with its reaper leaves its file behind.
            is_ours = self.report().get("supervisor") == self.process.pid
            return is_ours and self.state.demo_json.exists()

        eventually(ready, deadline_s=deadline_s)
        content: dict[str, str] = json.loads(self.state.demo_json.read_text())
        return content

    def report(self) -> dict[str, Any]:
        """``processes.json``; empty before it is written."""
        return read_json(self.state.processes_json)

    def pid(self, name: str) -> int:
        """The process number of a supervised process, once it runs."""

        def running() -> int | None:
            entry = self.report().get("processes", {}).get(name)
            return entry["pid"] if entry else None

        return int(eventually(running))

    def processes(self) -> list[psutil.Process]:
        """Everything of this run that lives now: supervised processes, what they started, the database."""
        members = [*family(self.report().get("run", "")), *server_processes(Cluster(self.state.postgres))]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.state.root) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    members.append(process)
        return members

    def press_ctrl_c(self) -> None:
        """What a terminal sends to its foreground group."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, *, deadline_s: float = DEADLINE_S) -> tuple[int, str]:
        """Exit status and everything it said."""
        assert self.process is not None
        output, _ = self.process.communicate(timeout=deadline_s)
        return self.process.returncode, output

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
        with contextlib.suppress(OSError, ValueError):
            eventually(lambda: not self.processes())


class RealInstallation(RunningInstallation):
    """The real product: what ``make demo`` runs, without its story."""

    def command(self) -> tuple[list[str], dict[str, str]]:
        arguments = ["-m", "config.embedded", "--without-story", "--state", str(self.state.root)]
        return [sys.executable, *arguments], {"FLOTILLA_PORT": str(self.port)}


def is_ready(client: httpx.Client) -> bool:
    """Whether database, tables, stores and keys are ready."""
    try:
        return client.get("/readyz").is_success
    except httpx.HTTPError:
        return False
