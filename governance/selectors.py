"""What governance shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db.models import QuerySet

from common.errors import NotFoundError
from governance.models import ApiToken, AuditEntry, Membership, Organization, Role, User
from governance.names import names_for
from governance.types import Caller


def organization_of(*, caller: Caller) -> Organization:
    """The caller's organization."""
    return Organization.objects.get(pk=caller.organization_id)


def organization_id_by_slug(slug: str) -> int:
    """The organization a device path names; its case does not matter.

    Raises:
        NotFoundError: there is none.
    """
    organization_id = Organization.objects.filter(slug=slug.lower()).values_list("pk", flat=True).first()
    if organization_id is None:
        raise NotFoundError("There is no such organization.")
    return organization_id


def people(*, caller: Caller) -> QuerySet[Membership]:
    """Members of the caller's organization, with their users."""
    return Membership.objects.filter(organization_id=caller.organization_id).select_related("user")


def api_tokens(*, caller: Caller) -> QuerySet[ApiToken]:
    """API tokens of the caller's organization.

    Raises:
        NotPermittedError: the caller is no administrator.
    """
    caller.require(Role.ADMINISTRATOR)
    return ApiToken.objects.filter(organization_id=caller.organization_id).select_related("created_by")


def audit_entries(*, caller: Caller) -> QuerySet[AuditEntry]:
    """The audit log of the caller's organization.

    Raises:
        NotPermittedError: the caller is no administrator.
    """
    caller.require(Role.ADMINISTRATOR)
    return AuditEntry.objects.filter(organization_id=caller.organization_id)


def audit_names(*, caller: Caller, entries: Iterable[AuditEntry]) -> dict[tuple[str, str], str]:
    """Names of the actors and objects of ``entries`` by ``(kind, id)``, with one query per kind."""
    references = {(entry.actor_kind, entry.actor_id) for entry in entries}
    references |= {(entry.object_kind, entry.object_id) for entry in entries}
    return names_for(caller.organization_id, references)


def person_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of people of the organization."""
    users = User.objects.filter(public_id__in=ids, memberships__organization_id=organization_id)
    return {user.public_id: display_name(user) for user in users}


def api_token_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of API tokens of the organization."""
    tokens = ApiToken.objects.filter(organization_id=organization_id, public_id__in=ids)
    return dict(tokens.values_list("public_id", "name"))


def organization_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """The organization's own name."""
    organizations = Organization.objects.filter(pk=organization_id, public_id__in=ids)
    return dict(organizations.values_list("public_id", "name"))


def display_name(user: User) -> str:
    """How a person is called on screen."""
    return user.get_full_name() or user.username
