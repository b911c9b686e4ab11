"""Roles at the REST door."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from common.errors import NotAuthenticatedError
from governance.models import Role
from governance.types import Caller


class HasRole(BasePermission):
    """Safe methods need ``viewer``, others ``operator``; a view may say otherwise.

    ``required_role`` on a view replaces the rule for all its methods, ``action_roles`` (action -> role) for single
    actions of a viewset.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raises instead of answering False, so that the error names the missing role."""
        caller = request.auth
        if not isinstance(caller, Caller):
            raise NotAuthenticatedError("Nobody is signed in. Sign in, or send an API token.")
        roles: dict[str, Role] = getattr(view, "action_roles", {})
        default = Role.VIEWER if request.method in SAFE_METHODS else Role.OPERATOR
        caller.require(roles.get(getattr(view, "action", ""), getattr(view, "required_role", None) or default))
        return True
