"""Log files that stay small: the processes append, the supervisor turns the page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LIMIT_BYTES = 4_000_000  # per file; one older file is kept beside it


def open_log(path: Path) -> int:
    """A descriptor to append to, made 0600; the caller closes it after handing it to a child."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Move what is in a file that grew past the limit to ``<name>.1``; returns whether it did.

    The writers keep their descriptors: the file is copied and cut to nothing, and since it is open for appending they
    go on at its new end. A line written in the very moment between the two is lost; the log outlives the supervisor
    in exchange.
    """
    try:
        if path.stat().st_size <= limit_bytes:
            return False
    except OSError:
        return False
    fresh = path.with_suffix(path.suffix + ".new")
    shutil.copyfile(path, fresh)
    fresh.chmod(0o600)
    os.truncate(path, 0)
    fresh.replace(path.with_suffix(path.suffix + ".1"))
    return True
