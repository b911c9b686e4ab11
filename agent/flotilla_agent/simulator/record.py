"""What a simulated device remembers across restarts of its fleet: one small file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from flotilla_agent.files import read_or_none, write_atomic
from flotilla_protocol.messages import Soak

SEQUENCES_AT_ONCE = 1_000


class Installed(msgspec.Struct, frozen=True):
    """A version in one of the device's two slots."""

    version: str
    digest: str
    manifest_digest: str
    since: datetime
    slot: Literal["a", "b"]


class DeviceRecord(msgspec.Struct):
    """The device's memory. Sequence numbers are reserved in blocks: those of a killed process are skipped,
    not reused.
    """

    key_pem: str
    is_enrolled: bool = False
    root_metadata: str = ""
    running: dict[str, Installed] = {}
    previous: dict[str, Installed | None] = {}
    number: int = 0
    is_outcome_due: bool = False  # the action is decided, and the control plane does not know yet
    is_closed: bool = False
    reason: str = ""
    text: str = ""
    soak_s: float = 0.0
    shadow_every: int = 0
    is_soaking: bool = False
    self_test: Literal["passed", "failed", "not_run"] = "not_run"
    soak: Soak = Soak(clean=None, seconds=0.0, errors=0)
    sequences_reserved: int = 0

    @classmethod
    def load(cls, path: Path) -> DeviceRecord | None:
        """The record in a file, or None."""
        content = read_or_none(path)
        return None if content is None else msgspec.json.decode(content, type=cls)

    def save(self, path: Path) -> None:
        """Make it durable."""
        write_atomic(path, msgspec.json.encode(self))
