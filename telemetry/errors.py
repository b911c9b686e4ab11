"""Expected errors of telemetry."""

from __future__ import annotations

from common.errors import ConflictError, InvalidInputError, NotFoundError, TooLargeError, UnavailableError


class InvalidBatchError(InvalidInputError):
    """The telemetry batch breaks the protocol; ``fields`` names field and index."""

    code = "telemetry.invalid_batch"


class UnstorableBatchError(InvalidInputError):
    """The batch is well formed, yet the database refuses it; it alone was left out of its group."""

    code = "telemetry.unstorable_batch"


class UnsupportedMediaTypeError(InvalidInputError):
    """Neither MessagePack nor JSON."""

    code = "unsupported_media_type"
    status = 415


class BatchTooLargeError(TooLargeError):
    """More bytes than a batch may have."""

    code = "telemetry.batch_too_large"


class UnknownDeviceError(NotFoundError):
    """The device is not (or no longer) in the organization its token names."""

    code = "telemetry.unknown_device"


class IngestOverloadedError(UnavailableError):
    """More batches wait than the bound allows; nothing of this one was stored."""

    code = "overloaded"
    retry_after_s = 1


class IngestUnavailableError(UnavailableError):
    """The database cannot be written to; nothing of this batch is acknowledged."""

    code = "telemetry.unavailable"
    retry_after_s = 2


class InvalidSpanError(InvalidInputError):
    """A series is asked for with a span or a number of points that makes no sense."""

    code = "telemetry.invalid_span"


class AlertResolvedError(ConflictError):
    """The alert is resolved; it can no longer be acknowledged, silenced or resolved."""

    code = "telemetry.alert_resolved"


class InvalidThresholdError(InvalidInputError):
    """An alert rule's threshold is out of range."""

    code = "telemetry.invalid_threshold"
