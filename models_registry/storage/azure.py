"""Azure Blob Storage. django-storages configures container and links; the client underneath streams."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContentSettings
from storages.backends.azure_storage import AzureStorage

from models_registry.errors import ObjectMissingError, RangeOutsideObjectError, StoreConfigurationError
from models_registry.storage.base import (
    CHUNK_BYTES,
    ObjectStat,
    RangeReader,
    VerifiedSource,
    check_range,
    failed,
    presign_seconds,
    split_location,
)

if TYPE_CHECKING:
    from models_registry.storage.registry import Address

OPTIONS = frozenset({"endpoint_url"})

_FAILURES = (AzureError, OSError)


def store_at(address: Address) -> AzureStore:
    """``azure://account/container/prefix``; the secret is the account's key.

    Raises:
        StoreConfigurationError: no container, or no key.
    """
    try:
        (account, container), prefix = split_location(address.location, 2)
    except ValueError as error:
        raise StoreConfigurationError(
            f"store {address.name!r}: {address.location!r} is not account/container"
        ) from error
    if not address.secret:
        raise StoreConfigurationError(
            f"store {address.name!r}: ARTIFACT_STORE_{address.name.upper()}_SECRET (the account's key) is not set"
        )
    return AzureStore(
        name=address.name,
        account=account,
        container=container,
        prefix=prefix,
        account_key=address.secret,
        endpoint_url=address.options.get("endpoint_url"),
    )


class _Backend(AzureStorage):  # type: ignore[misc]
    """django-storages' backend with a client for any address; upstream only builds Azure's own host names."""

    def __init__(self, *, endpoint_url: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._endpoint_url = endpoint_url

    def _get_service_client(self) -> BlobServiceClient:
        return BlobServiceClient(
            self._endpoint_url,
            credential={"account_name": self.account_name, "account_key": self.account_key},
            **self.client_options,
        )


class AzureStore:
    """A container of a storage account, optionally below a prefix.

    Args:
        account_key: the account's shared key, base64.
        endpoint_url: the blob service, ``https://<account>.blob.core.windows.net`` unless another cloud's.
    """

    def __init__(
        self,
        *,
        name: str,
        account: str,
        container: str,
        prefix: str = "",
        account_key: str,
        endpoint_url: str | None = None,
    ) -> None:
        self.name = name
        self._storage = _Backend(
            endpoint_url=endpoint_url or f"https://{account}.blob.core.windows.net",
            account_name=account,
            account_key=account_key,
            azure_container=container,
            location=prefix,
            overwrite_files=True,
            client_options={
                # The client fetches whole pieces of these sizes into memory before the first byte is seen.
                "max_single_get_size": 4 * CHUNK_BYTES,
                "max_chunk_get_size": 4 * CHUNK_BYTES,
                "max_single_put_size": 16 * CHUNK_BYTES,
                "max_block_size": 16 * CHUNK_BYTES,
                "connection_timeout": 5,
                "read_timeout": 60,
                "retry_total": 3,
            },
        )
        self._prefix = f"{prefix}/" if prefix else ""

    def _blob(self, key: str) -> Any:
        return self._storage.client.get_blob_client(self._prefix + key)

    def put(self, key: str, source: BinaryIO, *, size_bytes: int, sha256: str) -> None:
        """See ``Store.put``."""
        blob = self._blob(key)
        try:
            if self._size(key) == size_bytes:
                return
            blob.upload_blob(
                VerifiedSource(source, size_bytes=size_bytes, sha256=sha256),
                length=size_bytes,
                overwrite=True,
                max_concurrency=1,
                content_settings=ContentSettings(content_type="application/octet-stream"),
            )
        except _FAILURES as error:
            raise failed("put", self.name, key) from error

    def _size(self, key: str) -> int | None:
        try:
            return int(self._blob(key).get_blob_properties().size)
        except ResourceNotFoundError:
            return None

    def stat(self, key: str) -> ObjectStat:
        """See ``Store.stat``."""
        try:
            size_bytes = self._size(key)
        except _FAILURES as error:
            raise failed("stat", self.name, key) from error
        if size_bytes is None:
            raise self._missing(key)
        return ObjectStat(size_bytes=size_bytes)

    def open_range(self, key: str, start: int = 0, length: int | None = None) -> RangeReader:
        """See ``Store.open_range``."""
        check_range(start, length)
        # Asked first: for a range behind the end the client library quietly fetches something else.
        size_bytes = self.stat(key).size_bytes
        if start and start >= size_bytes:
            raise RangeOutsideObjectError(f"byte {start} lies behind the end at {size_bytes}")
        available = size_bytes - start
        wanted = available if length is None else min(length, available)
        try:
            stream = self._blob(key).download_blob(offset=start, length=wanted, max_concurrency=1) if wanted else None
        except ResourceNotFoundError as error:
            raise self._missing(key) from error
        except _FAILURES as error:
            raise failed("read", self.name, key) from error
        return RangeReader(
            read=stream.read if stream else (lambda _size: b""),
            close=lambda: None,  # every piece is a finished request of its own
            failures=_FAILURES,
            failure=lambda: failed("read", self.name, key),
            length=wanted,
        )

    def presign(self, key: str, *, expires: timedelta) -> str | None:
        """See ``Store.presign``."""
        seconds = presign_seconds(expires)
        try:
            return str(self._storage.url(key, expire=seconds))
        except _FAILURES as error:
            raise failed("sign a link", self.name, key) from error

    def path(self, key: str) -> Path | None:
        """See ``Store.path``."""
        return None

    def delete(self, key: str) -> None:
        """See ``Store.delete``."""
        try:
            self._storage.delete(key)
        except _FAILURES as error:
            raise failed("delete", self.name, key) from error

    def check(self) -> None:
        """See ``Store.check``."""
        try:
            self._storage.client.get_container_properties()
        except _FAILURES as error:
            raise failed("be reached", self.name, "") from error

    def _missing(self, key: str) -> ObjectMissingError:
        return ObjectMissingError("The store does not hold this artifact.", context={"store": self.name, "key": key})
