"""Tables of governance."""

from governance.models.audit import AuditEntry
from governance.models.organization import Membership, Organization, Role
from governance.models.sign_in import SignInBudget
from governance.models.token import ApiToken
from governance.models.user import User

__all__ = ["ApiToken", "AuditEntry", "Membership", "Organization", "Role", "SignInBudget", "User"]
