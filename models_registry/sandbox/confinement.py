"""What the sandbox gives up before it looks at the file.

Limits of the process (memory, CPU, files, processes) hold on every platform we know. Namespaces (no network, no shared
memory of others) need Linux with unprivileged user namespaces, which some distributions and container runtimes switch
off: then the sandbox says so in its result, and the container's own network policy has to do it
(``docs/operators/storage.md``, "The validation sandbox").
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
import sys
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_OPEN_FILES = 64
_CPU_GRACE_S = 2  # between the polite signal and the other one


@dataclass(frozen=True)
class Limits:
    """What one run may use."""

    memory_bytes: int  # of address space
    cpu_s: int
    wall_s: float  # kept by the parent


def confine(limits: Limits) -> list[str]:
    """Apply everything this platform has; call before anything is parsed and before threads exist.

    Returns the names of what holds, of ``no_network, no_new_privileges, memory, cpu, files, processes``.
    """
    held: list[str] = []
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # nobody reads the answer of a dead parent
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        # A user namespace first: it is what lets an ordinary user make the others, and it takes root's powers away.
        isolated = libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) == 0
        if isolated or libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC) == 0:
            held.append("no_network")
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            held.append("no_new_privileges")
    for name, kind, soft, hard in (
        ("memory", resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        ("cpu", resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + _CPU_GRACE_S),
        ("files", resource.RLIMIT_FSIZE, 0, 0),
        ("processes", resource.RLIMIT_NPROC, 0, 0),
        ("", resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        ("", resource.RLIMIT_CORE, 0, 0),
    ):
        # macOS refuses to limit address space; the others hold there as well.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))
            if name:
                held.append(name)
    return held
