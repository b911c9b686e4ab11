"""Every process that a run has started, however deep, and its end.

A process belongs to a run when the run's mark is in its environment, which is inherited, or when it lives in the
session of a process that does. Process numbers alone decide nothing: they are reused.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

import psutil

from config.embedded.processes import RUN_MARK


def family(run: str, sessions: Collection[int] = ()) -> list[psutil.Process]:
    """The living processes of a run.

    Args:
        run: the run's mark.
        sessions: sessions whose leaders are supervised now; a session that lost its leader proves nothing later.
    """
    found = []
    own = os.getpid()
    for process in psutil.process_iter():
        if process.pid == own:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if os.getsid(process.pid) in sessions or process.environ().get(RUN_MARK) == run:
                found.append(process)
    return found


def end_family(run: str, sessions: Collection[int] = (), *, deadline_s: float = 10) -> list[psutil.Process]:
    """Kill a run's processes until none is left; returns what would not die within the deadline."""
    remaining = family(run, sessions)
    rounds = max(1, int(deadline_s))
    for _ in range(rounds):
        if not remaining:
            break
        for process in remaining:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(remaining, timeout=1)
        remaining = family(run, sessions)  # one that was being started meanwhile
    return remaining


def end_session(session: int) -> None:
    """Kill what a supervised process left behind; call it right after its end, while the number is still its own."""
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)
