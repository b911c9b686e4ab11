"""Children die with their parent, also when it is killed without a chance to say goodbye."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(signal_number: signal.Signals) -> Callable[[], None] | None:
    """A ``preexec_fn`` that has the kernel send ``signal_number`` to the child when its parent ends.

    Linux only; None elsewhere, where the reaper (``config.embedded.reaper``) alone does this work. The kernel watches
    the thread that forked: call ``Popen`` from a thread that lives as long as the process.
    """
    if sys.platform != "linux":
        return None
    # Found before the fork: between fork and exec only async-signal-safe work may happen.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()
    number = int(signal_number)

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was told
            os._exit(1)

    return before_exec
