"""The one family of expected errors, free of any transport.

Services raise these; ``config/exception_handler.py`` and the device doors translate them into HTTP. ``code`` is stable
and dotted (``rollouts.invalid_transition``): clients match on it, texts may change. ``docs/api/errors.md`` lists what
to do for each.
"""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """An expected failure with a text for the person and context for the log.

    Args:
        text: what happened, what it means, what to do. Shown to the caller.
        code: overrides the class's code where one class serves several cases.
        fields: text per input field, for forms.
        context: for the log only; never shown.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        text: str,
        *,
        code: str | None = None,
        fields: dict[str, str] | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.error_code = code or self.code
        self.fields = fields or {}
        self.context = context or {}


class InvalidInputError(DomainError):
    """The request cannot be understood or breaks a rule it could have known. 400."""

    code = "invalid_input"
    status = 400


class NotAuthenticatedError(DomainError):
    """Nobody is signed in, or the credential is unknown, expired or revoked. 401."""

    code = "not_authenticated"
    status = 401


class NotPermittedError(DomainError):
    """The caller is known and lacks the right. 403."""

    code = "not_permitted"
    status = 403


class NotFoundError(DomainError):
    """There is no such thing, or the caller may not know of it. 404."""

    code = "not_found"
    status = 404


class ConflictError(DomainError):
    """The thing is in a state that does not allow this, or somebody else was faster. 409."""

    code = "conflict"
    status = 409


class TooLargeError(DomainError):
    """More bytes than the limit. 413."""

    code = "too_large"
    status = 413


class TooManyRequestsError(DomainError):
    """A quota or rate is used up; try later. 429."""

    code = "too_many_requests"
    status = 429
    retryable = True
    retry_after_s = 2


class UnavailableError(DomainError):
    """A part we depend on is down or full; nothing was changed. 503."""

    code = "unavailable"
    status = 503
    retryable = True
    retry_after_s = 2
