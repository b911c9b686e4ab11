"""Uploads: bytes on their way in (tus 1.0), durable after every answer.

What counts is ``Upload.offset_bytes``: it is raised only after the bytes were forced to disk. A process may die at any
line: the file may then hold more than the row says, and the next writer cuts it back. An upload becomes an artifact
only when all its bytes are there; a truncated one registers nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
from datetime import timedelta
from pathlib import Path, PurePosixPath
from uuid import UUID

from django.conf import settings
from django.db import transaction

from common.clock import now
from common.errors import InvalidInputError
from flotilla_protocol.digests import digest_file
from governance.models import Role
from governance.services.audit import audit_write
from governance.types import Caller
from models_registry.errors import (
    ChecksumMismatchError,
    ContentMismatchError,
    OffsetMismatchError,
    StoreUnavailableError,
    TooManyUploadsError,
    UploadBusyError,
    UploadIncompleteError,
    UploadNotFoundError,
    UploadTooLargeError,
)
from models_registry.models import Artifact, Upload, UploadState
from models_registry.selectors import upload_for
from models_registry.services.artifacts import artifact_store_file
from models_registry.services.locks import lock_uploads

logger = logging.getLogger(__name__)

MAX_OPEN_UPLOADS = 32  # per organization
UPLOAD_LIFETIME = timedelta(hours=24)
KEPT_AFTER_END = timedelta(days=7)  # rows of finished uploads, for those who ask late
_SYNC_EVERY_BYTES = 8 << 20  # the most that is written again after a crash
_RESERVE_BYTES = 256 << 20  # disk that uploads never take
_SWEEP_LIMIT = 500
_FILENAME_MAX = 256


def upload_path(upload: Upload) -> Path:
    """Where the bytes of an unfinished upload are."""
    return Path(settings.UPLOAD_DIR) / f"{upload.public_id}.part"


def upload_create(*, caller: Caller, filename: str, length_bytes: int, sha256: str = "") -> Upload:
    """Begin an upload.

    Args:
        caller: an operator.
        filename: shown to people; folders in it are dropped.
        length_bytes: at least 1, at most ``settings.UPLOAD_MAX_BYTES``.
        sha256: hex; if given, other content is refused at the end.

    Raises:
        NotPermittedError: the caller is no operator.
        InvalidInputError: length or file name cannot be used.
        UploadTooLargeError: longer than the limit.
        TooManyUploadsError: the organization has ``MAX_OPEN_UPLOADS`` unfinished ones.
        StoreUnavailableError: the disk is too full for it.
    """
    caller.require(Role.OPERATOR)
    if length_bytes < 1:
        raise InvalidInputError("An upload has at least one byte.", fields={"Upload-Length": "at least 1"})
    if length_bytes > settings.UPLOAD_MAX_BYTES:
        raise UploadTooLargeError(
            f"The file has {length_bytes} bytes; at most {settings.UPLOAD_MAX_BYTES} are accepted here."
        )
    if sha256 and (len(sha256) != hashlib.sha256().digest_size * 2 or set(sha256) - set("0123456789abcdef")):
        raise InvalidInputError("The announced SHA-256 is not one.", fields={"sha256": "64 hexadecimal digits"})
    if shutil.disk_usage(settings.UPLOAD_DIR).free < length_bytes + _RESERVE_BYTES:
        raise StoreUnavailableError("The server's disk is too full for this upload; tell its operator.")
    at = now()
    with transaction.atomic():
        lock_uploads(caller.organization_id)
        unfinished = Upload.objects.filter(organization_id=caller.organization_id, state=UploadState.OPEN)
        running = unfinished.filter(expires_at__gt=at)
        if running.count() >= MAX_OPEN_UPLOADS:
            raise TooManyUploadsError(
                f"{MAX_OPEN_UPLOADS} uploads are unfinished. Finish or delete one, or wait: they expire after "
                f"{UPLOAD_LIFETIME // timedelta(hours=1)} hours."
            )
        return Upload.objects.create(
            organization_id=caller.organization_id,
            created_by_id=caller.user_id,
            filename=_filename(filename),
            length_bytes=length_bytes,
            sha256=sha256,
            created_at=at,
            expires_at=at + UPLOAD_LIFETIME,
        )


def _filename(text: str) -> str:
    name = PurePosixPath(text.replace("\\", "/")).name
    if not name or len(name) > _FILENAME_MAX or not name.isprintable():
        raise InvalidInputError(
            "The file name cannot be used.", fields={"filename": f"1 to {_FILENAME_MAX} printable characters"}
        )
    return name


class UploadWriter:
    """Appends the body of one request to an upload. Synchronous; call from one thread at a time.

    Holds a lock on the file, which the operating system releases when the process dies. Blocks of a body with a
    checksum count only once the whole body has been checked.

    Args:
        offset_bytes: where the client believes the upload stands.
        checksum: SHA-256 the body must have, 32 bytes; empty for none.

    Raises:
        UploadNotFoundError: there is none, or it expired.
        UploadBusyError: another request is writing.
        OffsetMismatchError: it stands elsewhere.
    """

    def __init__(self, *, caller: Caller, upload_id: UUID, offset_bytes: int, checksum: bytes = b"") -> None:
        caller.require(Role.OPERATOR)
        self._caller = caller
        self.upload = upload_for(caller=caller, upload_id=upload_id)
        self._file = _locked(self.upload)
        try:
            self.upload.refresh_from_db()
            if self.upload.state == UploadState.OPEN:
                _settle(self.upload, self._file)
            _check_offset(self.upload, offset_bytes)
        except BaseException:
            os.close(self._file)
            raise
        self._position = self.upload.offset_bytes
        self._checksum = checksum
        self._digest = hashlib.sha256()

    def write(self, block: bytes) -> None:
        """Append a block.

        Raises:
            UploadTooLargeError: more bytes than announced; what came before stays.
        """
        if self._position + len(block) > self.upload.length_bytes:
            raise UploadTooLargeError(f"The body goes beyond the announced {self.upload.length_bytes} bytes.")
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise StoreUnavailableError(
                "The server cannot write the upload down. What was acknowledged is safe; go on later.",
                context={"path": str(upload_path(self.upload)), "errno": error.errno},
            ) from error
        self._position += len(block)
        if self._checksum:
            self._digest.update(block)
        elif self._position - self.upload.offset_bytes >= _SYNC_EVERY_BYTES:
            self._commit()

    def _commit(self) -> None:
        """First the disk, then the row."""
        if self._position == self.upload.offset_bytes:
            return
        os.fsync(self._file)
        moved = Upload.objects.filter(
            pk=self.upload.pk, state=UploadState.OPEN, offset_bytes=self.upload.offset_bytes
        ).update(offset_bytes=self._position)
        if not moved:
            raise UploadNotFoundError("The upload was deleted meanwhile.")
        self.upload.offset_bytes = self._position

    def keep(self) -> None:
        """The body broke off: keep what came, unless it would have had to be checked as a whole."""
        if not self._checksum:
            self._commit()

    def finish(self) -> None:
        """The body is complete. With the last byte the upload becomes an artifact.

        Raises:
            ChecksumMismatchError: the body is not what was announced; it was discarded.
            ContentMismatchError: the whole file is not what was announced; the upload is gone.
            StoreUnavailableError: every byte is safe here; the store failed. Publishing tries again.
        """
        if self._checksum and self._digest.digest() != self._checksum:
            raise ChecksumMismatchError("The body does not have the announced SHA-256 and was discarded.")
        self._commit()
        if self.upload.state == UploadState.OPEN and self._position == self.upload.length_bytes:
            _complete(self._caller, self.upload)

    def close(self) -> None:
        """Release the lock. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _locked(upload: Upload) -> int:
    """The upload's file, open for appending and locked, as a descriptor."""
    handle = os.open(upload_path(upload), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise UploadBusyError("Another request is writing to this upload; try again when it has ended.") from error
    return handle


def _check_offset(upload: Upload, offset_bytes: int) -> None:
    if offset_bytes != upload.offset_bytes:
        raise OffsetMismatchError(
            f"The upload stands at {upload.offset_bytes}, not at {offset_bytes}. Ask with HEAD and go on there."
        )


def _settle(upload: Upload, handle: int) -> None:
    """Bring file and row together after a crash: what one of them does not have does not count."""
    size_bytes = os.fstat(handle).st_size
    if size_bytes < upload.offset_bytes:  # the disk was lost or replaced: what is gone must be sent again
        Upload.objects.filter(pk=upload.pk, state=UploadState.OPEN).update(offset_bytes=size_bytes)
        upload.offset_bytes = size_bytes
    elif size_bytes > upload.offset_bytes:
        os.ftruncate(handle, upload.offset_bytes)
    os.lseek(handle, 0, os.SEEK_END)


def upload_offset(upload: Upload) -> int:
    """Bytes that are safe: what a client asking with HEAD goes on from."""
    if upload.state == UploadState.COMPLETE:
        return upload.length_bytes
    try:
        return min(upload.offset_bytes, upload_path(upload).stat().st_size)
    except FileNotFoundError:
        return 0


def upload_artifact(*, caller: Caller, upload_id: UUID) -> Artifact:
    """The artifact of a complete upload; finishes one whose last step was interrupted. Idempotent.

    Raises:
        UploadNotFoundError: there is none, or it expired.
        UploadIncompleteError: bytes are missing.
        UploadBusyError: it is being written.
        StoreUnavailableError: the store failed; try again.
    """
    upload = upload_for(caller=caller, upload_id=upload_id)
    if upload.state == UploadState.OPEN:
        handle = _locked(upload)
        try:
            upload.refresh_from_db()
            if upload.state == UploadState.OPEN:
                _settle(upload, handle)
                if upload.offset_bytes < upload.length_bytes:
                    raise UploadIncompleteError(
                        f"The upload has {upload.offset_bytes} of {upload.length_bytes} bytes. Send the rest first."
                    )
                _complete(caller, upload)
        finally:
            os.close(handle)
    assert upload.artifact is not None
    return upload.artifact


def _complete(caller: Caller, upload: Upload) -> None:
    """Turn the file into an artifact. The caller holds the file's lock. Safe to repeat after dying at any line."""
    path = upload_path(upload)
    digests = digest_file(path)
    if upload.sha256 and digests.sha256 != upload.sha256:
        Upload.objects.filter(pk=upload.pk).delete()
        path.unlink(missing_ok=True)
        raise ContentMismatchError("The file does not have the announced SHA-256; the upload was discarded.")
    artifact = artifact_store_file(
        organization_id=upload.organization_id, path=path, digests=digests, media_type="application/octet-stream"
    )
    with transaction.atomic():
        moved = Upload.objects.filter(pk=upload.pk, state=UploadState.OPEN).update(
            state=UploadState.COMPLETE, artifact=artifact
        )
        if not moved:
            raise UploadNotFoundError("The upload was deleted meanwhile.")
        audit_write(
            organization_id=upload.organization_id,
            actor=caller.actor,
            action="upload.complete",
            object_kind="upload",
            object_id=str(upload.public_id),
            data={"filename": upload.filename, "sha256": digests.sha256, "size_bytes": digests.size_bytes},
        )
    upload.state, upload.artifact = UploadState.COMPLETE, artifact
    path.unlink(missing_ok=True)


def upload_delete(*, caller: Caller, upload_id: UUID) -> None:
    """Forget an upload and its bytes; an artifact made of it stays.

    Raises:
        NotPermittedError: the caller is no operator.
        UploadNotFoundError: there is none.
        UploadBusyError: it is being written.
    """
    caller.require(Role.OPERATOR)
    upload = upload_for(caller=caller, upload_id=upload_id)
    handle = _locked(upload)
    try:
        Upload.objects.filter(pk=upload.pk).delete()
        upload_path(upload).unlink(missing_ok=True)
    finally:
        os.close(handle)


def uploads_expire() -> int:
    """Remove the bytes of uploads nobody finished in time, and old rows. Idempotent; for the periodic task.

    Returns how many uploads expired; at most some hundred in one go.
    """
    at = now()
    overdue = Upload.objects.filter(state=UploadState.OPEN, expires_at__lte=at).order_by("expires_at")
    expired = 0
    for upload in overdue[:_SWEEP_LIMIT]:
        try:
            handle = _locked(upload)
        except UploadBusyError:
            continue  # it is being written right now and will end as expired the next time
        try:
            expired += Upload.objects.filter(pk=upload.pk, state=UploadState.OPEN).update(state=UploadState.EXPIRED)
            upload_path(upload).unlink(missing_ok=True)
        finally:
            os.close(handle)
    old = Upload.objects.filter(expires_at__lte=at - KEPT_AFTER_END).exclude(state=UploadState.OPEN)
    Upload.objects.filter(pk__in=old.values("pk")[:_SWEEP_LIMIT]).delete()
    _remove_strays()
    return expired


def _remove_strays() -> None:
    """Files whose row is gone: a process died between the two."""
    oldest_kept = now().timestamp() - (UPLOAD_LIFETIME + KEPT_AFTER_END).total_seconds()
    for path in Path(settings.UPLOAD_DIR).glob("*.part"):
        try:
            if path.stat().st_mtime < oldest_kept:
                path.unlink()
        except FileNotFoundError:
            continue
