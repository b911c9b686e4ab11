"""The first organization, person and token of an installation."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import transaction

from common.clock import now
from governance.models import ApiToken, Membership, Organization, Role, User
from governance.services.api_tokens import api_token_create_for_installation
from governance.services.organizations import organization_create
from governance.services.people import membership_create, password_generate, password_replace, user_create

_TOKEN_NAME = "installation"  # noqa: S105 - a name, not a token


@dataclass(frozen=True)
class Installation:
    """What the operator of an installation needs to get in. Secrets that existed before are None: only their
    digests are kept.
    """

    organization: str
    username: str
    password: str | None = field(repr=False)
    api_token: str | None = field(repr=False)


def installation_init(*, slug: str, name: str, username: str, renew: bool = False) -> Installation:
    """Make what is missing of an organization, its administrator and an API token. Idempotent.

    Args:
        slug: the organization's slug.
        name: the organization's name, used when it is made.
        username: the administrator's user name.
        renew: replace the password and the token of what exists, for when they were lost.

    Raises:
        InvalidInputError: slug, name or user name cannot be used.
    """
    with transaction.atomic():
        organization = Organization.objects.filter(slug=slug.lower()).first() or organization_create(
            slug=slug, name=name
        )
        # Two starts at once would both find nothing; the second waits here for the first.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        user = User.objects.filter(username=username).first()
        password: str | None = None
        if user is None:
            password = password_generate()
            user = user_create(username=username, password=password)
        elif renew:
            password = password_replace(organization_id=organization.pk, user=user)
        if not Membership.objects.filter(organization=organization, user=user).exists():
            membership_create(organization_id=organization.pk, user=user, role=Role.ADMINISTRATOR)
        tokens = ApiToken.objects.filter(organization=organization, created_by=user, name=_TOKEN_NAME, revoked_at=None)
        if renew:
            tokens.update(revoked_at=now())
        api_token = None
        if renew or not tokens.exists():
            api_token = api_token_create_for_installation(
                organization_id=organization.pk, user_id=user.pk, name=_TOKEN_NAME
            ).text
    return Installation(organization=organization.slug, username=user.username, password=password, api_token=api_token)
