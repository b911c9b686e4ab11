"""Digests of model files, computed while the bytes pass by."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

_BLOCK_BYTES = 1 << 20


class Digests(msgspec.Struct, frozen=True):
    """Lower-case hex digests and the number of bytes they cover."""

    sha256: str
    sha1: str  # mandatory for hawkBit's C clients, which verify nothing else
    size_bytes: int


class DigestStream:
    """Feeds SHA-256 and SHA-1 in one pass."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self.size_bytes = 0

    def update(self, block: bytes) -> None:
        """Add the next bytes."""
        self._sha256.update(block)
        self._sha1.update(block)
        self.size_bytes += len(block)

    def digests(self) -> Digests:
        """The digests of all bytes so far; more may follow."""
        return Digests(self._sha256.hexdigest(), self._sha1.hexdigest(), self.size_bytes)


def digest_bytes(body: bytes) -> Digests:
    """Digests of bytes in memory."""
    stream = DigestStream()
    stream.update(body)
    return stream.digests()


def digest_file(path: Path) -> Digests:
    """Digests of a file, read in blocks of 1 MB.

    Raises:
        OSError: it cannot be read.
    """
    stream = DigestStream()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            stream.update(block)
    return stream.digests()
