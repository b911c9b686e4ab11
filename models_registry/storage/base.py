"""The contract of an artifact store.

A store keeps immutable objects under keys that are made of their SHA-256 (``key_for``). What the contract promises, and
``tests/models_registry/storage/test_contract.py`` checks over every adapter:

- ``put`` is verified: an object exists only if it has exactly the announced length and digest. The source is checked
  while it is read and refused before its last bytes are handed to the store, so nothing half-right is ever committed.
- ``put`` of what is already there is done at once, without reading the source.
- Readers stream: no call holds more than a few chunks in memory.
- A missing object is ``ObjectMissingError`` everywhere; every other failure is ``StoreUnavailableError`` and names
  operation, store and key, with the cause chained.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from models_registry.errors import ContentMismatchError, RangeOutsideObjectError, StoreUnavailableError

CHUNK_BYTES = 1 << 20  # the most one read of a stream returns
PRESIGN_MAX = timedelta(minutes=15)  # a presigned link is a bearer secret
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ObjectStat:
    """What a store knows of an object."""

    size_bytes: int


class Store(Protocol):
    """One bucket, container or folder. Safe to use from several threads."""

    name: str  # the label from ARTIFACT_STORES

    def put(self, key: str, source: BinaryIO, *, size_bytes: int, sha256: str) -> None:
        """Store the bytes of ``source``, read from its current position. Idempotent.

        Raises:
            ContentMismatchError: the source has another length or digest; nothing was stored.
            StoreUnavailableError: the store failed; whether it kept anything shows at the next ``put``.
        """

    def stat(self, key: str) -> ObjectStat:
        """Size of an object.

        Raises:
            ObjectMissingError: there is no such object.
            StoreUnavailableError: the store failed.
        """

    def open_range(self, key: str, start: int = 0, length: int | None = None) -> RangeReader:
        """Open bytes ``start`` to ``start + length`` (or the end), cut at the object's end. Close the reader.

        Raises:
            ObjectMissingError: there is no such object.
            RangeOutsideObjectError: ``start`` is negative or not below the size, or ``length`` is below 1.
            StoreUnavailableError: the store failed, now or while reading.
        """

    def presign(self, key: str, *, expires: timedelta) -> str | None:
        """A link anybody may GET (with ``Range``) for ``expires``, or None if our own door must serve.

        Does not check that the object exists.

        Raises:
            ValueError: ``expires`` is not within 1 s and ``PRESIGN_MAX``.
            StoreUnavailableError: the link could not be signed.
        """

    def path(self, key: str) -> Path | None:
        """The object's file on this machine, whether it exists or not; None where objects are not files."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is a done thing.

        Raises:
            StoreUnavailableError: the store failed.
        """

    def check(self) -> None:
        """Show that the store can be reached and is ours to use; for ``/readyz``.

        Raises:
            StoreUnavailableError: it cannot.
        """


def key_for(sha256: str) -> str:
    """The key of an object: ``sha256/ab/cdef...``. Two levels keep folders on a disk small.

    Raises:
        ValueError: not 64 lower-case hexadecimal digits.
    """
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is not a SHA-256 in lower-case hexadecimal")
    return f"sha256/{sha256[:2]}/{sha256[2:]}"


def split_location(location: str, parts: int) -> tuple[list[str], str]:
    """The first ``parts`` segments of a location, and the rest as a prefix.

    Raises:
        ValueError: there are fewer segments.
    """
    segments = [segment for segment in location.split("/") if segment]
    if len(segments) < parts:
        raise ValueError(location)
    return segments[:parts], "/".join(segments[parts:])


def presign_seconds(expires: timedelta) -> int:
    """Whole seconds of a link's life, checked against ``PRESIGN_MAX``."""
    if not timedelta(seconds=1) <= expires <= PRESIGN_MAX:
        raise ValueError(f"a link lives 1 s to {PRESIGN_MAX}, not {expires}")
    return int(expires.total_seconds())


def check_range(start: int, length: int | None) -> None:
    """Refuse ranges that can be wrong without knowing the object."""
    if start < 0 or (length is not None and length < 1):
        raise RangeOutsideObjectError(f"bytes {start} + {length} are no range")


def range_header(start: int, length: int | None) -> str:
    """The value of an HTTP ``Range`` header (RFC 9110, section 14.1.2)."""
    return f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"


def failed(operation: str, store: str, key: str) -> StoreUnavailableError:
    """The error for a failure inside a store; raise it ``from`` the cause."""
    return StoreUnavailableError(
        f"The artifact store {store!r} failed to {operation}; nothing was registered. Try again shortly.",
        context={"operation": operation, "store": store, "key": key},
    )


class VerifiedSource:
    """A source that ends in an error unless it has exactly the announced length and digest.

    The check happens in the read that would deliver the last byte. Every store commits an object only after it has got
    all its bytes, so a wrong source leaves nothing behind.
    """

    def __init__(self, source: BinaryIO, *, size_bytes: int, sha256: str) -> None:
        self._source = source
        self._size_bytes = size_bytes
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        self._position = 0
        if size_bytes == 0:
            self._verify()

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes, or all that is left; empty only at the end."""
        remaining = self._size_bytes - self._position
        wanted = remaining if size is None or size < 0 else min(size, remaining)
        parts: list[bytes] = []
        while wanted > 0:
            part = self._source.read(min(wanted, CHUNK_BYTES))
            if not part:
                raise ContentMismatchError(
                    f"The bytes end after {self._position} of {self._size_bytes}: the file is truncated."
                )
            self._digest.update(part)
            self._position += len(part)
            wanted -= len(part)
            parts.append(part)
            if self._position == self._size_bytes:
                self._verify()
        return b"".join(parts)

    def _verify(self) -> None:
        if self._source.read(1):
            raise ContentMismatchError(f"There are more bytes than the announced {self._size_bytes}.")
        if self._digest.hexdigest() != self._sha256:
            raise ContentMismatchError("The bytes do not have the announced SHA-256.")

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    @staticmethod
    def seekable() -> bool:
        """No: a second reading would have to be verified again."""
        return False

    @staticmethod
    def readable() -> bool:
        """Yes."""
        return True


class RangeReader(Iterator[bytes]):
    """The bytes of a range in chunks of at most ``CHUNK_BYTES``; a context manager.

    Args:
        read: returns up to so many bytes, empty at the end.
        close: gives the connection or file back; called once.
        failures: what the store's client raises when it fails.
        failure: makes the error raised instead.
        length: bytes to deliver; fewer are a failure, more are not read.
    """

    def __init__(
        self,
        *,
        read: Callable[[int], bytes],
        close: Callable[[], None],
        failures: tuple[type[BaseException], ...],
        failure: Callable[[], StoreUnavailableError],
        length: int,
    ) -> None:
        self._read = read
        self._close = close
        self._failures = failures
        self._failure = failure
        self._remaining = length
        self._is_closed = False
        self.length = length

    def __next__(self) -> bytes:
        if self._remaining == 0 or self._is_closed:
            self.close()
            raise StopIteration
        try:
            chunk = self._read(min(CHUNK_BYTES, self._remaining))
        except self._failures as error:
            self.close()
            raise self._failure() from error
        if not chunk:
            self.close()
            raise self._failure()
        self._remaining -= len(chunk)
        return chunk

    def close(self) -> None:
        """Release what the reader holds. Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
