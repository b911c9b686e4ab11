"""Where the agent keeps everything: identity, trust, models, the update under way, unsent telemetry."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
from pathlib import Path
from urllib.parse import urlsplit

from flotilla_agent.files import PRIVATE_FOLDER, folder_make


class StateFolderError(Exception):
    """The folder cannot be used; the text says what to do."""


def default_location(server: str, tenant: str, controller_id: str) -> Path:
    """A folder of this device's own: systemd's ``STATE_DIRECTORY``, else below ``XDG_STATE_HOME`` or the
    home.
    """
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.split(":")[0])
    home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    base = os.environ.get("XDG_STATE_HOME") or str(Path(home) / ".local" / "state")
    host = re.sub(r"[^A-Za-z0-9.-]", "_", urlsplit(server).netloc)
    return Path(base) / "flotilla-agent" / host / tenant.lower() / controller_id.replace(":", "_")


class StateFolder:
    """Names of everything below one folder (0700).

    Raises:
        StateFolderError: it cannot be made or is not a folder of one's own.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            folder_make(root)
            root.chmod(PRIVATE_FOLDER)
            self.identity = folder_make(root / "identity")
            self.trust = folder_make(root / "trust")
            self.models = folder_make(root / "models")
            self.outbox = folder_make(root / "outbox")
        except OSError as error:
            raise StateFolderError(
                f"The state folder {root} cannot be used ({error.strerror}). Choose another with --state."
            ) from error
        self.update = root / "update.json"
        self.control = root / "control.json"
        self._lock_handle: int | None = None

    def lock(self) -> None:
        """Keep other agents out until this process ends; a dead process's lock is gone with it.

        Raises:
            StateFolderError: another agent runs on this folder.
        """
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise StateFolderError(f"Another agent already runs on {self.root}.") from error
        self._lock_handle = handle

    def unlock(self) -> None:
        """Let others in again."""
        if self._lock_handle is not None:
            os.close(self._lock_handle)
            self._lock_handle = None
