"""Artifacts: bytes go into the store first, rows follow. A row never names bytes that are not there."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path
from typing import BinaryIO

from django.db import transaction

from common.clock import now
from flotilla_protocol.digests import Digests, digest_bytes
from models_registry.errors import (
    ContentMismatchError,
    ObjectMissingError,
    StoreConfigurationError,
    StoreUnavailableError,
)
from models_registry.models import Artifact, Replica
from models_registry.services.locks import lock_content
from models_registry.storage.base import Store, key_for
from models_registry.storage.registry import default_store, store_named

logger = logging.getLogger(__name__)


def artifact_store_file(*, organization_id: int, path: Path, digests: Digests, media_type: str) -> Artifact:
    """Put a file into the default store and register it. Idempotent; outside any transaction.

    Raises:
        ContentMismatchError: the file changed since its digests were computed.
        StoreUnavailableError: nothing was registered.
    """
    with path.open("rb") as source:
        return _store(organization_id=organization_id, source=source, digests=digests, media_type=media_type)


def artifact_store_bytes(*, organization_id: int, body: bytes, media_type: str) -> Artifact:
    """The same for bytes in memory."""
    return _store(
        organization_id=organization_id, source=io.BytesIO(body), digests=digest_bytes(body), media_type=media_type
    )


def _store(*, organization_id: int, source: BinaryIO, digests: Digests, media_type: str) -> Artifact:
    store = default_store()
    key = key_for(digests.sha256)
    store.put(key, source, size_bytes=digests.size_bytes, sha256=digests.sha256)
    with transaction.atomic():
        lock_content(digests.sha256)
        artifact, _ = Artifact.objects.get_or_create(
            organization_id=organization_id,
            sha256=digests.sha256,
            defaults={
                "sha1": digests.sha1,
                "size_bytes": digests.size_bytes,
                "media_type": media_type,
                "created_at": now(),
            },
        )
        Replica.objects.get_or_create(artifact=artifact, store=store.name, defaults={"key": key, "created_at": now()})
    try:
        store.stat(key)
    except ObjectMissingError:
        # `put` found the bytes of somebody who was just deleting them. Now that the row stands, nobody will again.
        source.seek(0)
        store.put(key, source, size_bytes=digests.size_bytes, sha256=digests.sha256)
    return artifact


def artifact_fetch(*, artifact: Artifact, target: Path) -> None:
    """Copy an artifact into a file, trying each store that holds it, and verify it.

    Raises:
        ObjectMissingError: no store holds it any more.
        StoreUnavailableError: the stores that hold it failed.
    """
    failure: StoreUnavailableError | ObjectMissingError | None = None
    for replica in artifact.replicas.order_by("id"):
        try:
            _copy(store_named(replica.store), replica.key, artifact, target)
        except ContentMismatchError as error:
            logger.exception("artifact %s is damaged in store %s", artifact.sha256, replica.store)
            failure = ObjectMissingError("The stored bytes of this artifact are damaged.")
            failure.__cause__ = error
        except (StoreUnavailableError, ObjectMissingError) as error:
            failure = error
        else:
            return
    raise failure or ObjectMissingError("No store holds this artifact.", context={"sha256": artifact.sha256})


def artifact_forget(*, store: str, sha256: str) -> None:
    """Delete bytes that no row names any more; after the commit that removed the last one.

    Another organization may hold the same content: then its row keeps the bytes. A store that fails is logged: bytes
    without a row harm nobody.
    """
    with transaction.atomic():
        # The one call to a store inside a transaction: nobody may register the content between look and deletion.
        lock_content(sha256)
        if Replica.objects.filter(store=store, key=key_for(sha256)).exists():
            return
        try:
            store_named(store).delete(key_for(sha256))
        except (StoreUnavailableError, StoreConfigurationError):
            logger.exception("bytes stay behind in store %s: %s", store, sha256)


def _copy(store: Store, key: str, artifact: Artifact, target: Path) -> None:
    digest = hashlib.sha256()
    with store.open_range(key) as reader, target.open("wb") as file:
        for chunk in reader:
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != artifact.sha256:
        raise ContentMismatchError("The stored bytes do not have the artifact's SHA-256.")
