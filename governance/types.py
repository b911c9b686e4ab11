"""Who is asking: plain values that cross app borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from common.errors import NotPermittedError
from governance.models import Role

_RANK: Final = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMINISTRATOR: 2}


@dataclass(frozen=True)
class Actor:
    """Who did something, for the audit log. ``id`` is opaque, so that names can be erased."""

    kind: str  # person | token | job | device | system
    id: str


SYSTEM: Final = Actor(kind="system", id="")


@dataclass(frozen=True)
class Caller:
    """An authenticated person or token, in the one organization the request is about.

    Every selector takes it and scopes by ``organization_id``; nothing outside that organization exists for it.
    """

    organization_id: int
    role: Role
    actor: Actor
    user_id: int | None = None
    token_id: int | None = None

    def may(self, role: Role) -> bool:
        """Whether the caller's role includes ``role``."""
        return _RANK[Role(self.role)] >= _RANK[role]

    def require(self, role: Role) -> None:
        """Refuse callers below ``role``.

        Raises:
            NotPermittedError: names the role that is needed.
        """
        if not self.may(role):
            raise NotPermittedError(
                f"This needs the role {role.value}; you have {Role(self.role).value}. "
                "An administrator of your organization can grant it."
            )
