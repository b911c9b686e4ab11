"""Errors of rollouts."""

from __future__ import annotations

from common.errors import ConflictError, DomainError, InvalidInputError, NotFoundError, TooManyRequestsError


class InvalidTransitionError(ConflictError):
    """The state machine has no such move."""

    code = "rollouts.invalid_transition"


class InvalidPolicyError(InvalidInputError):
    """A selector or policy breaks a rule; ``fields`` names where."""

    code = "rollouts.invalid_policy"


class PlanRefusedError(ConflictError):
    """The plan cannot be carried out safely, or has no device; the text says why and what to change."""

    code = "rollouts.plan_refused"


class RollbackRefusedError(ConflictError):
    """Another rollout of the model is under way on the same devices; the text names it."""

    code = "rollouts.rollback_refused"


class VersionNotReleasableError(ConflictError):
    """Only ready and approved versions roll out."""

    code = "rollouts.version_not_releasable"


class RolloutNotFoundError(NotFoundError):
    """No such rollout for this caller."""

    code = "rollouts.not_found"


class ActionNotFoundError(NotFoundError):
    """No such action of this device, or not in a state in which it is shown."""

    code = "rollouts.action_not_found"


class ActionClosedError(DomainError):
    """The action has ended; the device may forget it. 410, as hawkBit answers."""

    code = "rollouts.action_closed"
    status = 410


class ActionNotCancellingError(DomainError):
    """Feedback on a cancel nobody asked for. 405, as hawkBit answers."""

    code = "rollouts.action_not_cancelling"
    status = 405


class TooMuchFeedbackError(TooManyRequestsError):
    """An action takes 1,000 intermediate messages; ending it is always possible."""

    code = "rollouts.too_much_feedback"


class ReportRefusedError(DomainError):
    """A version report is not signed by the device's key, or about another device."""

    code = "rollouts.report_refused"
    status = 403


class ArtifactNotFoundError(NotFoundError):
    """No such file, or this device was not asked to run it."""

    code = "rollouts.artifact_not_found"


class ArtifactGoneError(DomainError):
    """The file's bytes were removed from every store. 410."""

    code = "rollouts.artifact_gone"
    status = 410


class UnsupportedMediaTypeError(DomainError):
    """The request's body is of a kind this door does not read. 415."""

    code = "unsupported_media_type"
    status = 415


class NotAcceptableError(DomainError):
    """The client accepts no kind of answer this door gives. 406."""

    code = "not_acceptable"
    status = 406
