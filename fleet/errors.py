"""What can go wrong in the fleet, as codes clients match on."""

from __future__ import annotations

from common.errors import (
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    NotPermittedError,
    UnavailableError,
)


class InvalidCsrError(InvalidInputError):
    """A certificate request that does not prove the key, or names another device."""

    code = "fleet.invalid_csr"


class EnrolmentRefusedError(NotPermittedError):
    """Unknown tenant, or unknown, used, expired or revoked token: one answer, so that a caller learns nothing."""

    code = "fleet.enrolment_refused"


class DeviceExistsError(ConflictError):
    """The id belongs to another key. Nothing takes an identity over."""

    code = "fleet.device_exists"


class AccessRefusedError(NotAuthenticatedError):
    """An assertion that proves nothing, was used before, or is of a device that may not come in."""

    code = "fleet.access_refused"


class InvalidTransitionError(ConflictError):
    """The device's state does not allow this."""

    code = "fleet.invalid_transition"


class DeviceNotFoundError(NotFoundError):
    """No such device in the caller's organization."""

    code = "fleet.device_not_found"


class NameTakenError(ConflictError):
    """A site, region or hardware profile of that name exists."""

    code = "fleet.name_taken"


class TrustRootMissingError(UnavailableError):
    """The first root of trust cannot be given, so nobody is let in."""

    code = "fleet.trust_root_missing"
