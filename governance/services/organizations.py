"""Organizations: made by whoever runs the installation, never through the API."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from common.clock import now
from common.errors import InvalidInputError
from governance.errors import OrganizationExistsError
from governance.models import Organization
from governance.services.audit import audit_write
from governance.types import SYSTEM, Actor

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_NAME_LENGTH = 128
# The slug is the first part of every device path; these are the first parts of our other paths.
_RESERVED = frozenset({"api", "assets", "healthz", "metrics", "readyz", "static", "ws"})


def organization_create(*, slug: str, name: str, actor: Actor = SYSTEM) -> Organization:
    """Make an organization.

    Args:
        slug: the tenant in device URLs; 1 to 64 of ``a-z 0-9 -``, given in any case.
        name: shown to people, 1 to 128 characters.
        actor: who is making it.

    Raises:
        InvalidInputError: the slug or the name cannot be used.
        OrganizationExistsError: the slug is taken.
    """
    slug = slug.lower()
    if not _SLUG.fullmatch(slug) or slug in _RESERVED:
        text = "1 to 64 of a-z, 0-9 and '-', not starting or ending with '-', and none of our own paths."
        raise InvalidInputError(f"The slug {slug!r} cannot be used.", fields={"slug": text})
    name = name.strip()
    if not 1 <= len(name) <= _NAME_LENGTH:
        raise InvalidInputError("The name cannot be used.", fields={"name": "1 to 128 characters."})
    try:
        with transaction.atomic():
            organization = Organization.objects.create(slug=slug, name=name, created_at=now())
            audit_write(
                organization_id=organization.pk,
                actor=actor,
                action="organization.create",
                object_kind="organization",
                object_id=str(organization.public_id),
            )
    except IntegrityError as error:
        raise OrganizationExistsError(f"There is an organization {slug} already.") from error
    return organization
