"""Where an embedded installation keeps its things: ``.flotilla/`` in the checkout.

Standard library only. The folder is 0700, secret files are 0600. As root the folder itself belongs to the database's
user (``config.embedded.postgres``), what is in it stays root's.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.embedded.console import StartError

ROOT = Path(__file__).resolve().parents[2]  # the checkout
DEFAULT_STATE = ROOT / ".flotilla"


@dataclass(frozen=True)
class State:
    """The folders and files of one installation.

    Args:
        root: the folder, absolute.
    """

    root: Path

    @property
    def logs(self) -> Path:
        """What the processes write; bounded by rotation."""
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        """Random per installation."""
        return self.root / "secrets"

    @property
    def keys(self) -> Path:
        """The device authority's and the signing keys."""
        return self.root / "keys"

    @property
    def uploads(self) -> Path:
        """Unfinished uploads."""
        return self.root / "uploads"

    @property
    def artifacts(self) -> Path:
        """The local artifact store."""
        return self.root / "artifacts"

    @property
    def broker(self) -> Path:
        """Messages of Celery's filesystem transport."""
        return self.root / "broker"

    @property
    def home(self) -> Path:
        """A home for tools where the caller has none."""
        return self.root / "home"

    @property
    def postgres(self) -> Path:
        """The database's data."""
        return self.root / "postgres"

    @property
    def tables_json(self) -> Path:
        """Which migrations the database has seen."""
        return self.root / "tables.json"

    @property
    def demo_json(self) -> Path:
        """Address and login of the running demo."""
        return self.root / "demo.json"

    @property
    def processes_json(self) -> Path:
        """The supervised processes: number, state, restarts."""
        return self.root / "processes.json"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            StartError: the folder cannot be made or written.
        """
        broker_folders = (self.broker, self.broker / "messages", self.broker / "control")
        try:
            for folder in (
                self.root,
                self.logs,
                self.secrets,
                self.keys,
                self.uploads,
                self.artifacts,
                *broker_folders,
                self.home,
            ):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise StartError(f"cannot write to {self.root}: {error.strerror or error}") from error

    def reset(self) -> None:
        """Remove everything but the lock. The caller holds the lock.

        Raises:
            StartError: something could not be removed.
        """
        for entry in self.root.iterdir():
            if entry.suffix == ".lock":
                continue
            try:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            except OSError as error:
                raise StartError(f"cannot remove {entry}: {error.strerror or error}") from error


def write_private(path: Path, text: str) -> None:
    """Write a file atomically with mode 0600: readers see the old text or the new, also after a power loss."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents of files, and of files within folders, in a fixed order. Missing ones count."""
    total = hashlib.sha256()
    for path in paths:
        files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
        for file in files:
            content = file.read_bytes() if file.exists() else b""
            total.update(f"{file}\0".encode())
            total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty when the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclass
class Lock:
    """One holder at a time, by ``flock``: the kernel forgets it with the last process that holds it.

    A file that exists means nothing, so a power loss leaves nothing stale. The descriptor may be inherited: then the
    lock lasts until the heir ends too.

    Args:
        path: the lock file; it is made, and never removed.
    """

    path: Path
    descriptor: int = -1

    def acquire(self, *, patience_s: float = 0) -> bool:
        """Take the lock; False when another process still holds it after ``patience_s``.

        Raises:
            StartError: the file cannot be opened.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(f"cannot write to {self.path}: {error.strerror or error}") from error
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(0.1)
                continue
            self.descriptor = descriptor
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())  # only for people and messages
            return True

    def holder(self) -> int | None:
        """The process that says it holds the lock, for messages."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.path.read_text())
        return None

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
