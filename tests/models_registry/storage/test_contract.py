"""One contract, four stores: the local disk, and the three clouds by their emulators, over HTTP."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from config.env import StoreAddress
from models_registry.errors import (
    ContentMismatchError,
    ObjectMissingError,
    RangeOutsideObjectError,
    StoreConfigurationError,
    StoreUnavailableError,
)
from models_registry.storage.base import CHUNK_BYTES, Store, key_for
from models_registry.storage.registry import store_open
from tests.emulators import servers

# Longer than one multipart part of the S3 adapter and one block of the Azure adapter.
LARGE_BYTES = 17 * CHUNK_BYTES + 12_345


@contextmanager
def _local() -> Iterator[StoreAddress]:
    with tempfile.TemporaryDirectory(prefix="flotilla-store-") as folder:
        yield StoreAddress(name="disk", scheme="local", location=folder, options={})


_ADDRESSES = {"local": _local, "s3": servers.s3, "gcs": servers.gcs, "azure": servers.azure}


@pytest.fixture(scope="module", params=list(_ADDRESSES))
def address(request: pytest.FixtureRequest) -> Iterator[StoreAddress]:
    with _ADDRESSES[request.param]() as found:
        yield found


@pytest.fixture(scope="module")
def store(address: StoreAddress) -> Store:
    return store_open(address)


class Content:
    def __init__(self, size_bytes: int) -> None:
        self.body = os.urandom(size_bytes)
        self.sha256 = hashlib.sha256(self.body).hexdigest()
        self.key = key_for(self.sha256)

    def put_into(self, store: Store) -> None:
        store.put(self.key, io.BytesIO(self.body), size_bytes=len(self.body), sha256=self.sha256)


class NeverRead(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the source of a second put was read")


@pytest.mark.emulators
class TestEveryStore:
    def test_what_was_put_is_read_back_in_small_pieces(self, store: Store) -> None:
        content = Content(LARGE_BYTES)
        content.put_into(store)
        with store.open_range(content.key) as reader:
            pieces = list(reader)
        assert max(map(len, pieces)) <= CHUNK_BYTES
        assert b"".join(pieces) == content.body
        assert store.stat(content.key).size_bytes == LARGE_BYTES

    def test_an_empty_object_is_an_object(self, store: Store) -> None:
        content = Content(0)
        content.put_into(store)
        assert store.stat(content.key).size_bytes == 0
        with store.open_range(content.key) as reader:
            assert list(reader) == []

    def test_a_second_put_of_the_same_content_is_a_done_thing(self, store: Store) -> None:
        content = Content(100)
        content.put_into(store)
        store.put(content.key, NeverRead(), size_bytes=100, sha256=content.sha256)  # type: ignore[arg-type]
        assert store.stat(content.key).size_bytes == 100

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [(0, 10, (0, 10)), (990, None, (990, 1000)), (10, 20, (10, 30)), (999, 500, (999, 1000))],
    )
    def test_a_range_is_exactly_its_bytes_cut_at_the_end(
        self, store: Store, start: int, length: int | None, expected: tuple[int, int]
    ) -> None:
        content = Content(1000)
        content.put_into(store)
        with store.open_range(content.key, start, length) as reader:
            assert reader.length == expected[1] - expected[0]
            assert b"".join(reader) == content.body[slice(*expected)]

    @pytest.mark.parametrize(("start", "length"), [(1000, None), (5000, 10), (-1, 10), (0, 0), (3, -2)])
    def test_a_range_outside_the_object_is_refused(self, store: Store, start: int, length: int | None) -> None:
        content = Content(1000)
        content.put_into(store)
        with pytest.raises(RangeOutsideObjectError):
            store.open_range(content.key, start, length)

    def test_a_reader_given_up_half_way_can_be_closed_twice(self, store: Store) -> None:
        content = Content(3 * CHUNK_BYTES)
        content.put_into(store)
        reader = store.open_range(content.key)
        assert next(reader)
        reader.close()
        reader.close()
        assert list(reader) == []

    def test_a_missing_object_is_one_error_everywhere(self, store: Store) -> None:
        key = key_for("0" * 64)
        with pytest.raises(ObjectMissingError):
            store.stat(key)
        with pytest.raises(ObjectMissingError):
            store.open_range(key)
        with pytest.raises(ObjectMissingError):
            store.open_range(key, 5, 5)

    @pytest.mark.parametrize("size_bytes", [1000, LARGE_BYTES])
    @pytest.mark.parametrize("harm", ["truncated", "too_long", "wrong_digest"])
    def test_wrong_content_is_refused_and_leaves_nothing(self, store: Store, size_bytes: int, harm: str) -> None:
        content = Content(size_bytes)
        body = {
            "truncated": content.body[:-1],
            "too_long": content.body + b"x",
            "wrong_digest": content.body[:-1] + bytes([content.body[-1] ^ 1]),
        }[harm]
        with pytest.raises(ContentMismatchError):
            store.put(content.key, io.BytesIO(body), size_bytes=size_bytes, sha256=content.sha256)
        with pytest.raises(ObjectMissingError):
            store.stat(content.key)
        content.put_into(store)
        assert store.stat(content.key).size_bytes == size_bytes

    def test_a_deleted_object_is_gone_and_deleting_again_is_a_done_thing(self, store: Store) -> None:
        content = Content(10)
        content.put_into(store)
        store.delete(content.key)
        with pytest.raises(ObjectMissingError):
            store.stat(content.key)
        store.delete(content.key)

    def test_a_presigned_link_gives_the_whole_and_ranges_to_anybody(self, store: Store, address: StoreAddress) -> None:
        content = Content(1000)
        content.put_into(store)
        link = store.presign(content.key, expires=timedelta(minutes=15))
        if address.scheme == "local":
            assert link is None
            return
        assert link is not None
        whole = httpx.get(link)
        assert (whole.status_code, whole.content) == (200, content.body)
        part = httpx.get(link, headers={"Range": "bytes=100-299"})
        assert (part.status_code, part.content) == (206, content.body[100:300])
        assert part.headers["Content-Range"] == "bytes 100-299/1000"

    @pytest.mark.parametrize("expires", [timedelta(minutes=15, seconds=1), timedelta(0), timedelta(days=1)])
    def test_no_link_lives_longer_than_a_quarter_of_an_hour(self, store: Store, expires: timedelta) -> None:
        with pytest.raises(ValueError, match="a link lives"):
            store.presign(key_for("1" * 64), expires=expires)

    def test_a_store_that_is_there_passes_its_check(self, store: Store) -> None:
        store.check()

    def test_a_store_that_is_not_there_fails_its_check_by_name(self, address: StoreAddress, tmp_path: Path) -> None:
        elsewhere = {
            "local": str(tmp_path / "removed"),
            "s3": "no-such-bucket",
            "gs": "no-such-bucket",
            "azure": f"{address.location.split('/')[0]}/no-such-container",
        }[address.scheme]
        lost = store_open(
            StoreAddress(
                name="lost", scheme=address.scheme, location=elsewhere, options=address.options, secret=address.secret
            )
        )
        if address.scheme == "local":
            Path(elsewhere).rmdir()
        with pytest.raises(StoreUnavailableError) as caught:
            lost.check()
        assert "'lost'" in caught.value.text
        assert caught.value.__cause__ is not None or address.scheme == "local"

    def test_an_unknown_option_is_refused_by_name(self, address: StoreAddress) -> None:
        with pytest.raises(StoreConfigurationError, match="unknown option 'colour'"):
            store_open(
                StoreAddress(
                    name=address.name,
                    scheme=address.scheme,
                    location=address.location,
                    options={**address.options, "colour": "blue"},
                    secret=address.secret,
                )
            )
