"""Google Cloud Storage. django-storages configures bucket and links; the client underneath streams."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import google.auth
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.oauth2 import service_account
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage

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

OPTIONS = frozenset({"endpoint_url", "project"})

_FAILURES = (GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption, RequestException, OSError)
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_PLATFORM_SCOPE = "https://www.googleapis.com/auth/cloud-platform"  # signing through IAM needs the wider one
_READ_CHUNK_BYTES = 8 * CHUNK_BYTES  # one HTTP request of a reader


def store_at(address: Address) -> GoogleStore:
    """``gs://bucket/prefix``; the secret is a service account's key file (JSON) or empty.

    Raises:
        StoreConfigurationError: the secret is no key file, or there is neither secret nor machine identity.
    """
    (bucket,), prefix = split_location(address.location, 1)
    return GoogleStore(
        name=address.name,
        bucket=bucket,
        prefix=prefix,
        account_json=address.secret,
        endpoint_url=address.options.get("endpoint_url"),
        project=address.options.get("project"),
    )


class _Backend(GoogleCloudStorage):  # type: ignore[misc]
    """django-storages' backend with a client for another endpoint; upstream only knows Google's own."""

    def __init__(self, *, endpoint_url: str | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._client: Client | None = None
        self._endpoint_url = endpoint_url

    @property
    def client(self) -> Client:
        if self._client is None:
            options = {"api_endpoint": self._endpoint_url} if self._endpoint_url else None
            self._client = Client(project=self.project_id, credentials=self.credentials, client_options=options)
        return self._client


class GoogleStore:
    """A bucket, optionally below a prefix.

    Args:
        account_json: a service account's key file, as text. It signs requests and links itself, without asking a token
            server. Empty means the machine's own identity (application default credentials), whose links are signed
            through IAM: it needs the role "Service Account Token Creator" on itself.
    """

    def __init__(
        self,
        *,
        name: str,
        bucket: str,
        prefix: str = "",
        account_json: str = "",
        endpoint_url: str | None = None,
        project: str | None = None,
    ) -> None:
        self.name = name
        self._endpoint_url = endpoint_url
        credentials: Any
        if account_json:
            try:
                account = json.loads(account_json)
                credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                    account, scopes=[_SCOPE], always_use_jwt_access=True
                )
            except (ValueError, GoogleAuthError) as error:
                raise StoreConfigurationError(
                    f"store {name!r}: the secret is not a service account's key file"
                ) from error
            project = project or account.get("project_id")
        else:
            try:
                credentials, found = google.auth.default(scopes=[_PLATFORM_SCOPE])
            except GoogleAuthError as error:
                raise StoreConfigurationError(
                    f"store {name!r}: no secret is set and this machine has no Google identity"
                ) from error
            project = project or found
        self._storage = _Backend(
            endpoint_url=endpoint_url,
            bucket_name=bucket,
            location=prefix,
            project_id=project,
            credentials=credentials,
            iam_sign_blob=not account_json,
        )
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, key: str, source: BinaryIO, *, size_bytes: int, sha256: str) -> None:
        """See ``Store.put``."""
        try:
            blob = self._storage.bucket.get_blob(self._prefix + key)
            if blob is not None and blob.size == size_bytes:
                return
            self._storage.bucket.blob(self._prefix + key).upload_from_file(
                VerifiedSource(source, size_bytes=size_bytes, sha256=sha256),
                size=size_bytes,
                content_type="application/octet-stream",
            )
        except _FAILURES as error:
            raise failed("put", self.name, key) from error

    def _blob(self, operation: str, key: str) -> Any:
        try:
            blob = self._storage.bucket.get_blob(self._prefix + key)
        except _FAILURES as error:
            raise failed(operation, self.name, key) from error
        if blob is None:
            raise self._missing(key)
        return blob

    def stat(self, key: str) -> ObjectStat:
        """See ``Store.stat``."""
        return ObjectStat(size_bytes=int(self._blob("stat", key).size))

    def open_range(self, key: str, start: int = 0, length: int | None = None) -> RangeReader:
        """See ``Store.open_range``."""
        check_range(start, length)
        blob = self._blob("read", key)
        size_bytes = int(blob.size)
        if start and start >= size_bytes:
            raise RangeOutsideObjectError(f"byte {start} lies behind the end at {size_bytes}")
        available = size_bytes - start
        wanted = available if length is None else min(length, available)
        file = blob.open("rb", chunk_size=min(_READ_CHUNK_BYTES, max(wanted, 1)))
        file.seek(start)
        return RangeReader(
            read=file.read,
            close=file.close,
            failures=_FAILURES,
            failure=lambda: failed("read", self.name, key),
            length=wanted,
        )

    def presign(self, key: str, *, expires: timedelta) -> str | None:
        """See ``Store.presign``."""
        parameters: dict[str, Any] = {"expiration": timedelta(seconds=presign_seconds(expires))}
        if self._endpoint_url:
            parameters["api_access_endpoint"] = self._endpoint_url
        try:
            return str(self._storage.url(key, parameters=parameters))
        except (*_FAILURES, AttributeError) as error:  # AttributeError: an identity that cannot sign
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
            # Listing needs only rights on objects; reading the bucket's own record would need more.
            list(self._storage.bucket.list_blobs(max_results=1))
        except (*_FAILURES, NotFound) as error:
            raise failed("be reached", self.name, "") from error

    def _missing(self, key: str) -> ObjectMissingError:
        return ObjectMissingError("The store does not hold this artifact.", context={"store": self.name, "key": key})
