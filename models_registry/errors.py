"""The registry's errors; ``docs/api/errors.md`` says what to do for each status."""

from __future__ import annotations

from common.errors import (
    ConflictError,
    DomainError,
    InvalidInputError,
    NotFoundError,
    TooLargeError,
    TooManyRequestsError,
    UnavailableError,
)


class StoreUnavailableError(UnavailableError):
    """An artifact store failed or cannot be reached. Nothing was registered."""

    code = "models_registry.store_unavailable"


class ObjectMissingError(NotFoundError):
    """A store does not hold the object."""

    code = "models_registry.object_missing"


class RangeOutsideObjectError(DomainError):
    """The range lies outside the object. 416."""

    code = "models_registry.range_outside_object"
    status = 416


class ContentMismatchError(InvalidInputError):
    """Bytes have another length or digest than announced."""

    code = "models_registry.content_mismatch"


class StoreConfigurationError(RuntimeError):
    """An entry of ``ARTIFACT_STORES`` cannot be used; start-up stops with this text."""


class UploadNotFoundError(NotFoundError):
    """There is no such upload, or it belongs to another organization, or it expired and was removed."""

    code = "models_registry.upload_not_found"


class UploadTooLargeError(TooLargeError):
    """The file is larger than ``FLOTILLA_UPLOAD_MAX_MB`` allows."""

    code = "models_registry.upload_too_large"


class TooManyUploadsError(TooManyRequestsError):
    """The organization has as many unfinished uploads as it may have."""

    code = "models_registry.too_many_uploads"


class OffsetMismatchError(ConflictError):
    """``Upload-Offset`` is not where the upload stands; ask with ``HEAD`` and go on from there."""

    code = "models_registry.upload_offset"


class UploadBusyError(DomainError):
    """Another request is writing to this upload. 423, as tus clients expect."""

    code = "models_registry.upload_busy"
    status = 423
    retryable = True


class ChecksumMismatchError(DomainError):
    """The body does not have the announced checksum; it was discarded (tus 1.0, checksum extension: 460)."""

    code = "models_registry.upload_checksum"
    status = 460


class UploadIncompleteError(ConflictError):
    """The upload does not have all its bytes yet."""

    code = "models_registry.upload_incomplete"


class InvalidTransitionError(ConflictError):
    """The version is in a state that does not allow this."""

    code = "models_registry.invalid_transition"


class NameTakenError(ConflictError):
    """Something of that name exists already."""

    code = "models_registry.name_taken"


class VersionNotReleasableError(ConflictError):
    """Only ready, approved versions roll out."""

    code = "models_registry.version_not_releasable"


class ModelRejectedError(DomainError):
    """A file was inspected and is no model we accept. ``error_code`` says which rule it breaks; never retried."""

    code = "models_registry.model_rejected"
    status = 400


class SandboxUnavailableError(UnavailableError):
    """The sandbox could not be started or died of something that is not the model's fault."""

    code = "models_registry.sandbox_unavailable"
