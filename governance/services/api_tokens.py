"""API tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from common.clock import now
from common.errors import InvalidInputError, NotFoundError
from governance.models import ApiToken, Role
from governance.secrets import bearer_secret
from governance.services.audit import audit_write
from governance.types import SYSTEM, Actor, Caller

TOKEN_KIND = "flt"  # noqa: S105 - what a token's text starts with
MAXIMUM_LIFETIME = timedelta(days=3660)


@dataclass(frozen=True)
class NewApiToken:
    """A token just made; ``text`` is shown this once."""

    token: ApiToken
    text: str = field(repr=False)


def api_token_create(*, caller: Caller, name: str, role: Role, lifetime: timedelta | None) -> NewApiToken:
    """Make a token for the caller's organization.

    Args:
        caller: an administrator.
        name: what it is for, shown in lists.
        role: what it may do; never above the caller's.
        lifetime: until it expires, at most ten years; None for never.

    Raises:
        NotPermittedError: the caller is no administrator, or has a lower role than the token would.
        InvalidInputError: the lifetime is out of range.
    """
    caller.require(Role.ADMINISTRATOR)
    caller.require(role)
    if lifetime is not None and not timedelta(0) < lifetime <= MAXIMUM_LIFETIME:
        raise InvalidInputError("The lifetime cannot be used.", fields={"expires_in_s": "Up to ten years."})
    return _create(
        organization_id=caller.organization_id,
        actor=caller.actor,
        user_id=caller.user_id,
        name=name,
        role=role,
        lifetime=lifetime,
    )


def api_token_create_for_installation(*, organization_id: int, user_id: int, name: str) -> NewApiToken:
    """Make an administrator's token for whoever runs the installation (management commands only)."""
    return _create(
        organization_id=organization_id,
        actor=SYSTEM,
        user_id=user_id,
        name=name,
        role=Role.ADMINISTRATOR,
        lifetime=None,
    )


def _create(
    *, organization_id: int, actor: Actor, user_id: int | None, name: str, role: Role, lifetime: timedelta | None
) -> NewApiToken:
    secret = bearer_secret(TOKEN_KIND)
    at = now()
    with transaction.atomic():
        token = ApiToken.objects.create(
            organization_id=organization_id,
            created_by_id=user_id,
            name=name,
            role=role,
            token_hash=secret.digest,
            prefix=secret.prefix,
            expires_at=at + lifetime if lifetime is not None else None,
            created_at=at,
        )
        audit_write(
            organization_id=organization_id,
            actor=actor,
            action="api_token.create",
            object_kind="api_token",
            object_id=str(token.public_id),
            data={"name": name, "role": role.value},
        )
    return NewApiToken(token=token, text=secret.text)


def api_token_revoke(*, caller: Caller, token_id: UUID) -> ApiToken:
    """Revoke a token; its next request is refused. Idempotent: revoking again changes nothing.

    Raises:
        NotPermittedError: the caller is no administrator.
        NotFoundError: the organization has no such token.
    """
    caller.require(Role.ADMINISTRATOR)
    with transaction.atomic():
        tokens = ApiToken.objects.filter(organization_id=caller.organization_id, public_id=token_id)
        if tokens.filter(revoked_at=None).update(revoked_at=now()):
            audit_write(
                organization_id=caller.organization_id,
                actor=caller.actor,
                action="api_token.revoke",
                object_kind="api_token",
                object_id=str(token_id),
            )
        token = tokens.select_related("created_by").first()
    if token is None:
        raise NotFoundError("There is no such API token.")
    return token
