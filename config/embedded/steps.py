"""Run a command as one moving line, its output in a log file. Standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.embedded.console import StartError, Step, error_line, last_line

KILL_DEADLINE_S = 5


def run_step(
    title: str,
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    keeps_output: bool = False,
    advice: str = "",
) -> bytes:
    """Run ``command`` to its end, showing one moving line; returns what it printed to standard output.

    The command runs in a session of its own; when this process is interrupted or told to end, everything the command
    started ends with it.

    Args:
        title: what the person reads.
        command: program and arguments.
        log: takes both outputs (unless ``keeps_output``, then only the error output); appended to.
        cwd: where the command runs.
        environment: all of its variables; ours when None.
        keeps_output: standard output is returned and not written to the log: it may be secret.
        advice: appended to the failure's line.

    Raises:
        StartError: the command failed or could not be started.
    """
    with Step(title) as step, log.open("ab") as output, tempfile.TemporaryFile() as kept:
        output.write(f"\n== {title}: {' '.join(command)}\n".encode())
        output.flush()
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**(os.environ if environment is None else environment), "NO_COLOR": "1"},  # logs are read as text
                stdin=subprocess.DEVNULL,
                stdout=kept if keeps_output else output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise StartError(f"{title}: {command[0]} cannot be started: {error.strerror}") from error
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                    break
                step.tick(last_line(log))
        finally:
            # Also when we are interrupted. What the command left running is not wanted either way.
            _end_session(process)
        if process.returncode:
            reason = error_line(log) or f"status {process.returncode}"
            raise StartError(f"{title} failed: {reason}{'; ' + advice if advice else ''}", log=log)
        kept.seek(0)
        return kept.read()


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """Ask the command's process group to end, then make it end."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_DEADLINE_S)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
