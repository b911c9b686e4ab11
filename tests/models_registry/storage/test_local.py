"""What only a folder can get wrong."""

from __future__ import annotations

import hashlib
import io
import stat
from pathlib import Path

import pytest

from config.env import StoreAddress
from models_registry.errors import ContentMismatchError, StoreConfigurationError, StoreUnavailableError
from models_registry.storage.base import key_for
from models_registry.storage.local import LocalStore
from models_registry.storage.registry import store_open

BODY = b"weights"
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    opened = store_open(StoreAddress(name="disk", scheme="local", location=str(tmp_path / "artifacts"), options={}))
    assert isinstance(opened, LocalStore)
    return opened


def put(store: LocalStore, source: io.BufferedIOBase, size_bytes: int = len(BODY)) -> None:
    store.put(key_for(SHA256), source, size_bytes=size_bytes, sha256=SHA256)  # type: ignore[arg-type]


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_files_are_the_server_s_own(store: LocalStore, tmp_path: Path) -> None:
    put(store, io.BytesIO(BODY))
    assert stat.S_IMODE(store.path(key_for(SHA256)).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "artifacts").stat().st_mode) == 0o700


def test_a_put_that_breaks_off_leaves_no_file_at_all(store: LocalStore, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the disk went away")

    with pytest.raises(StoreUnavailableError):
        put(store, Broken())
    with pytest.raises(ContentMismatchError):
        put(store, io.BytesIO(b"weighty"))
    assert files_below(tmp_path) == []


def test_a_file_of_another_length_is_replaced(store: LocalStore) -> None:
    path = store.path(key_for(SHA256))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"w")  # what a crash of another program may leave
    put(store, io.BytesIO(BODY))
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("digest", ["", "../../../etc/passwd", "A" * 64, "0" * 63, "0" * 65])
def test_only_a_digest_becomes_a_key(digest: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        key_for(digest)


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreConfigurationError, match="cannot be made"):
        store_open(StoreAddress(name="disk", scheme="local", location=str(tmp_path / "file" / "x"), options={}))
