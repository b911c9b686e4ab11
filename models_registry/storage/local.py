"""A folder on this machine: the demo's store and a fair choice for one box with a backed-up disk."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from django.core.files.storage import FileSystemStorage

from models_registry.errors import ObjectMissingError, RangeOutsideObjectError, StoreConfigurationError
from models_registry.storage.base import (
    CHUNK_BYTES,
    ObjectStat,
    RangeReader,
    VerifiedSource,
    check_range,
    failed,
    presign_seconds,
)

if TYPE_CHECKING:
    from models_registry.storage.registry import Address

OPTIONS: frozenset[str] = frozenset()


def store_at(address: Address) -> LocalStore:
    """``local:///absolute/folder``. The folder is made, readable by the server's own user only.

    Raises:
        StoreConfigurationError: the folder's path is not absolute, or it cannot be made.
    """
    folder = Path(address.location)
    if not folder.is_absolute():
        raise StoreConfigurationError(
            f"store {address.name!r}: {address.location!r} is not absolute; write local:///folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreConfigurationError(
            f"store {address.name!r}: {address.location!r} cannot be made: {error.strerror}"
        ) from error
    return LocalStore(name=address.name, folder=folder)


class LocalStore:
    """Objects as files below ``folder``, readable by the server's own user only.

    An object appears by one atomic rename after its bytes and then its folder entry were forced to disk: a power loss
    leaves either the whole object or none.
    """

    def __init__(self, *, name: str, folder: Path) -> None:
        self.name = name
        self._storage = FileSystemStorage(location=folder)

    def path(self, key: str) -> Path:
        """The file of an object, whether it exists or not; for doors that send files."""
        return Path(self._storage.path(key))

    def put(self, key: str, source: BinaryIO, *, size_bytes: int, sha256: str) -> None:
        """See ``Store.put``."""
        target = self.path(key)
        try:
            if target.is_file() and target.stat().st_size == size_bytes:
                return
            self._make_folders(target.parent)
            verified = VerifiedSource(source, size_bytes=size_bytes, sha256=sha256)
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".incoming-")
            try:
                with os.fdopen(handle, "wb") as file:
                    while chunk := verified.read(CHUNK_BYTES):
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            _sync_folder(target.parent)
        except OSError as error:
            raise failed("put", self.name, key) from error

    def _make_folders(self, folder: Path) -> None:
        """Make ``folder`` and force the new entries to disk, up to the store's root."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        root = Path(self._storage.location)
        while folder != root and root in folder.parents:
            folder = folder.parent
            _sync_folder(folder)

    def stat(self, key: str) -> ObjectStat:
        """See ``Store.stat``."""
        try:
            return ObjectStat(size_bytes=self.path(key).stat().st_size)
        except FileNotFoundError as error:
            raise self._missing(key) from error
        except OSError as error:
            raise failed("stat", self.name, key) from error

    def open_range(self, key: str, start: int = 0, length: int | None = None) -> RangeReader:
        """See ``Store.open_range``."""
        check_range(start, length)
        try:
            file = self.path(key).open("rb")
        except FileNotFoundError as error:
            raise self._missing(key) from error
        except OSError as error:
            raise failed("read", self.name, key) from error
        size_bytes = os.fstat(file.fileno()).st_size
        if start and start >= size_bytes:
            file.close()
            raise RangeOutsideObjectError(f"byte {start} lies behind the end at {size_bytes}")
        file.seek(start)
        available = size_bytes - start
        return RangeReader(
            read=file.read,
            close=file.close,
            failures=(OSError,),
            failure=lambda: failed("read", self.name, key),
            length=available if length is None else min(length, available),
        )

    def presign(self, key: str, *, expires: timedelta) -> str | None:
        """See ``Store.presign``."""
        presign_seconds(expires)
        return None  # there is no other server: our own door sends the bytes

    def delete(self, key: str) -> None:
        """See ``Store.delete``."""
        try:
            self.path(key).unlink(missing_ok=True)
        except OSError as error:
            raise failed("delete", self.name, key) from error

    def check(self) -> None:
        """See ``Store.check``."""
        folder = Path(self._storage.location)
        if not (folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
            raise failed("be reached", self.name, "")

    def _missing(self, key: str) -> ObjectMissingError:
        return ObjectMissingError("The store does not hold this artifact.", context={"store": self.name, "key": key})


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
