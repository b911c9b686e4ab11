"""What can go wrong in governance, as codes clients match on."""

from __future__ import annotations

from common.errors import ConflictError, NotAuthenticatedError, TooManyRequestsError


class SignInRefusedError(NotAuthenticatedError):
    """Unknown name, wrong password or inactive account: one answer for all."""

    code = "governance.sign_in_refused"


class SignInLimitedError(TooManyRequestsError):
    """Too many attempts from this address or for this name; ``retry_after_s`` says how long to wait."""

    code = "governance.sign_in_limited"

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(f"Too many attempts to sign in. Try again in {retry_after_s} seconds.")
        self.retry_after_s = retry_after_s


class OrganizationExistsError(ConflictError):
    """The slug is taken."""

    code = "governance.organization_exists"


class UserExistsError(ConflictError):
    """The user name is taken."""

    code = "governance.user_exists"


class MembershipExistsError(ConflictError):
    """The person is a member already."""

    code = "governance.membership_exists"
