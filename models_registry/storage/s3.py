"""Amazon S3 and what speaks its protocol (MinIO, Ceph, R2, ...).

django-storages configures and keeps the clients (one per thread); streaming, ranges and verified puts need boto3's
calls underneath.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from storages.backends.s3 import S3Storage

from models_registry.errors import ObjectMissingError, RangeOutsideObjectError, StoreConfigurationError
from models_registry.storage.base import (
    CHUNK_BYTES,
    ObjectStat,
    RangeReader,
    VerifiedSource,
    check_range,
    failed,
    presign_seconds,
    range_header,
    split_location,
)

if TYPE_CHECKING:
    from models_registry.storage.registry import Address

OPTIONS = frozenset({"endpoint_url", "region", "addressing_style"})
_ADDRESSING_STYLES = ("auto", "path", "virtual")

_FAILURES = (BotoCoreError, Boto3Error, ClientError, OSError)
_MISSING = {"404", "NoSuchKey", "NotFound"}


def store_at(address: Address) -> S3Store:
    """``s3://bucket/prefix``; the secret is ``ACCESS_KEY_ID:SECRET_ACCESS_KEY`` or empty.

    Raises:
        StoreConfigurationError: a part is missing or unknown.
    """
    (bucket,), prefix = split_location(address.location, 1)
    access_key, separator, secret_key = address.secret.partition(":")
    if address.secret and not (access_key and separator and secret_key):
        raise StoreConfigurationError(f"store {address.name!r}: the secret is not ACCESS_KEY_ID:SECRET_ACCESS_KEY")
    style = address.options.get("addressing_style", "auto")
    if style not in _ADDRESSING_STYLES:
        raise StoreConfigurationError(
            f"store {address.name!r}: addressing_style is one of {', '.join(_ADDRESSING_STYLES)}"
        )
    return S3Store(
        name=address.name,
        bucket=bucket,
        prefix=prefix,
        access_key=access_key,
        secret_key=secret_key,
        endpoint_url=address.options.get("endpoint_url"),
        region=address.options.get("region"),
        addressing_style=style,
    )


class S3Store:
    """A bucket, optionally below a prefix.

    Args:
        access_key, secret_key: empty leaves both to boto3's own chain (environment, profile, instance role).
        endpoint_url: None for Amazon's own.
        addressing_style: ``auto``, ``path`` (most servers that are not Amazon's) or ``virtual``.
    """

    def __init__(
        self,
        *,
        name: str,
        bucket: str,
        prefix: str = "",
        access_key: str = "",
        secret_key: str = "",
        endpoint_url: str | None = None,
        region: str | None = None,
        addressing_style: str = "auto",
    ) -> None:
        self.name = name
        credentials = {"access_key": access_key, "secret_key": secret_key} if access_key else {}
        self._storage = S3Storage(
            bucket_name=bucket,
            location=prefix,
            endpoint_url=endpoint_url,
            region_name=region,
            client_config=Config(
                signature_version="s3v4",  # the older one lives on in some regions and signs less
                s3={"addressing_style": addressing_style},  # type: ignore[arg-type]
                connect_timeout=5,
                read_timeout=60,
                retries={"max_attempts": 3, "mode": "standard"},
            ),
            # The source is one verified stream: parts are read one after the other, at most two are held.
            transfer_config=TransferConfig(
                multipart_threshold=16 * CHUNK_BYTES, multipart_chunksize=16 * CHUNK_BYTES, max_concurrency=2
            ),
            **credentials,
        )
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def _client(self) -> Any:
        return self._storage.connection.meta.client

    def _name(self, key: str) -> str:
        return self._prefix + key

    def put(self, key: str, source: BinaryIO, *, size_bytes: int, sha256: str) -> None:
        """See ``Store.put``."""
        try:
            if self._size(key) == size_bytes:
                return
            self._client.upload_fileobj(
                VerifiedSource(source, size_bytes=size_bytes, sha256=sha256),
                self._bucket,
                self._name(key),
                ExtraArgs={"ContentType": "application/octet-stream"},
                Config=self._storage.transfer_config,
            )
        except _FAILURES as error:
            raise failed("put", self.name, key) from error

    def _size(self, key: str) -> int | None:
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            raise
        return int(answer["ContentLength"])

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
        # An empty object has no byte 0: asking for the whole must not become a range.
        whole = {} if start == 0 and length is None else {"Range": range_header(start, length)}
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key), **whole)
        except ClientError as error:
            if _code(error) in _MISSING:
                raise self._missing(key) from error
            if _code(error) in {"416", "InvalidRange"}:
                raise RangeOutsideObjectError(f"byte {start} lies behind the end") from error
            raise failed("read", self.name, key) from error
        except _FAILURES as error:
            raise failed("read", self.name, key) from error
        return RangeReader(
            read=answer["Body"].read,
            close=answer["Body"].close,
            failures=_FAILURES,
            failure=lambda: failed("read", self.name, key),
            length=int(answer["ContentLength"]),
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
            self._client.head_bucket(Bucket=self._bucket)
        except _FAILURES as error:
            raise failed("be reached", self.name, "") from error

    def _missing(self, key: str) -> ObjectMissingError:
        return ObjectMissingError("The store does not hold this artifact.", context={"store": self.name, "key": key})


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
