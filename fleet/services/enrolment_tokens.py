"""Enrolment tokens: each lets one device in, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from common.clock import now
from common.errors import InvalidInputError, NotFoundError
from fleet.errors import InvalidTransitionError
from fleet.models import EnrolmentToken
from fleet.policy.texts import texts_check
from fleet.services.places import site_ensure
from governance.models import Role
from governance.secrets import bearer_secret
from governance.services.audit import audit_write
from governance.types import Caller

TOKEN_KIND = "fle"  # noqa: S105 - what a token's text starts with
MINIMUM_LIFETIME = timedelta(seconds=1)
MAXIMUM_LIFETIME = timedelta(days=366)


@dataclass(frozen=True)
class NewEnrolmentToken:
    """A token just made; ``text`` is shown this once."""

    token: EnrolmentToken
    text: str = field(repr=False)


def enrolment_token_create(
    *,
    caller: Caller,
    name: str,
    lifetime: timedelta,
    site: str = "",
    region: str = "",
    labels: Mapping[str, Any] | None = None,
) -> NewEnrolmentToken:
    """Make a token.

    Args:
        caller: an operator.
        name: what it is for, shown in lists.
        lifetime: until it expires; one second to a year.
        site: name of the site its device will belong to; empty for none.
        region: the site's region, needed to make a new site.
        labels: given to its device.

    Raises:
        NotPermittedError: the caller is no operator.
        InvalidInputError: lifetime, place or labels cannot be used.
    """
    caller.require(Role.OPERATOR)
    if not MINIMUM_LIFETIME <= lifetime <= MAXIMUM_LIFETIME:
        raise InvalidInputError("The lifetime cannot be used.", fields={"expires_in_s": "One second to 366 days."})
    if region and not site:
        raise InvalidInputError("A device is in a region through its site.", fields={"site": "Name the site, too."})
    checked_labels = texts_check(labels or {}, field="labels")
    secret = bearer_secret(TOKEN_KIND)
    at = now()
    with transaction.atomic():
        token = EnrolmentToken.objects.create(
            organization_id=caller.organization_id,
            name=name,
            token_hash=secret.digest,
            prefix=secret.prefix,
            site=site_ensure(caller=caller, name=site, region=region) if site else None,
            labels=checked_labels,
            created_by_id=caller.user_id,
            created_at=at,
            expires_at=at + lifetime,
        )
        audit_write(
            organization_id=caller.organization_id,
            actor=caller.actor,
            action="enrolment_token.create",
            object_kind="enrolment_token",
            object_id=str(token.public_id),
            data={"name": name, "site": site},
        )
    return NewEnrolmentToken(token=token, text=secret.text)


def enrolment_token_revoke(*, caller: Caller, token_id: UUID) -> EnrolmentToken:
    """Revoke a token that was not used. Idempotent.

    Raises:
        NotPermittedError: the caller is no operator.
        NotFoundError: the organization has no such token.
        InvalidTransitionError: it was used; the device it let in can be decommissioned.
    """
    caller.require(Role.OPERATOR)
    tokens = EnrolmentToken.objects.filter(organization_id=caller.organization_id, public_id=token_id)
    with transaction.atomic():
        if tokens.filter(used_at=None, revoked_at=None).update(revoked_at=now()):
            audit_write(
                organization_id=caller.organization_id,
                actor=caller.actor,
                action="enrolment_token.revoke",
                object_kind="enrolment_token",
                object_id=str(token_id),
            )
        token = tokens.select_related("site__region", "used_by").first()
    if token is None:
        raise NotFoundError("There is no such enrolment token.")
    if token.used_at is not None:
        raise InvalidTransitionError(
            "The token was used. To undo that, decommission the device it let in.", code="fleet.token_used"
        )
    return token
