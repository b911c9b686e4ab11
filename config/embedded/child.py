"""One supervised process: started, watched, restarted with growing patience, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from config.embedded import logs
from config.embedded.death import die_with_parent
from config.embedded.family import end_session
from config.embedded.processes import ProcessSpec
from config.embedded.state import ROOT

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
STEADY_AFTER_S = 60.0  # one that ran this long starts again at the first backoff


class Starter(Protocol):
    """Starts the process with its output going to a descriptor."""

    def __call__(self, *, output: int) -> subprocess.Popen[bytes]:
        """Raises OSError or PostgresError when it cannot be started."""


def spawn(spec: ProcessSpec, environment: dict[str, str]) -> Starter:
    """The starter of an ordinary process: a session of its own, and death with its parent.

    A signal to the terminal's group does not reach it (a busy Celery pool hangs on group signals); only the supervisor
    ends it.
    """

    def start(*, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            spec.command,
            cwd=ROOT,
            env={**environment, **spec.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - the supervisor has one thread
        )

    return start


@dataclass
class Child:
    """A process and its history.

    Args:
        name: for people and log files.
        log: takes the output.
        starter: starts it.
        stop_signal: asks it to end.
        patience_s: how long it may take to end.
        stop_order: lower ones end first.
        announce: called with a line whenever it ended unasked.
    """

    name: str
    log: Path
    starter: Starter
    announce: Callable[[str], None]
    stop_signal: signal.Signals = signal.SIGTERM
    patience_s: float = 10
    stop_order: int = 1
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    started_at: float = 0  # monotonic
    next_start_at: float = 0  # monotonic
    backoff_s: float = FIRST_BACKOFF_S

    @property
    def is_running(self) -> bool:
        """Whether it lives, as far as the last look says."""
        return self.process is not None and self.process.returncode is None

    def start(self) -> None:
        """Start it now; a failure to start counts as an end."""
        output = logs.open_log(self.log)
        self.started_at = time.monotonic()
        try:
            self.process = self.starter(output=output)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            os.write(output, f"cannot be started: {error}\n".encode())
            self.process = None
            self._plan_restart(f"cannot be started: {error}")
        finally:
            os.close(output)

    def watch(self) -> bool:
        """Notice its end and start it again when its time has come; returns whether anything changed."""
        if self.process is not None:
            if self.process.poll() is None:
                return False
            how = describe_end(self.process.returncode)
            end_session(self.process.pid)
            self.process = None
            self._plan_restart(how)
            return True
        if time.monotonic() < self.next_start_at:
            return False
        self.restarts += 1
        self.start()
        return True

    def seconds_to_restart(self) -> float | None:
        """When :meth:`watch` has something to do; None while it runs."""
        return None if self.process is not None else max(0.0, self.next_start_at - time.monotonic())

    def _plan_restart(self, how: str) -> None:
        if time.monotonic() - self.started_at > STEADY_AFTER_S:
            self.backoff_s = FIRST_BACKOFF_S
        self.next_start_at = time.monotonic() + self.backoff_s
        self.announce(
            f"{self.name} {how}; starting it again in {self.backoff_s:g} s "
            f"(restart {self.restarts + 1}; log: {self.log})"
        )
        self.backoff_s = min(LONGEST_BACKOFF_S, self.backoff_s * 2)

    def ask_to_end(self) -> None:
        """Signal the process itself, never its group; its own children are its own affair until the deadline."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.stop_signal)

    def has_ended(self) -> bool:
        """Whether it is gone; collects its status."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """End it and everything in its session, now."""
        if self.process is not None and not self.has_ended():
            end_session(self.process.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)

    def report(self) -> dict[str, Any]:
        """What ``processes.json`` says about it."""
        return {
            "pid": self.process.pid if self.process is not None else None,
            "state": "running" if self.is_running else "waiting",
            "restarts": self.restarts,
        }


def describe_end(status: int) -> str:
    """A wait status in words."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
