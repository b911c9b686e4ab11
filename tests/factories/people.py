"""People who call the API."""

from __future__ import annotations

import itertools

from rest_framework.test import APIClient

from governance.models import Organization, Role
from governance.services.api_tokens import api_token_create
from governance.services.organizations import organization_create
from governance.services.people import membership_create, password_generate, user_create
from governance.types import Actor, Caller

_numbers = itertools.count(1)


class Person(APIClient):
    """A client of the API with a bearer token; speaks JSON.

    Attributes:
        organization: where the person belongs.
        caller: the same person for services and selectors.
        token: the bearer token's text.
        username: for signing in through the screen or ``session/``.
        password: likewise.
    """

    default_format = "json"

    organization: Organization
    caller: Caller
    token: str
    username: str
    password: str


def organization_make(slug: str = "") -> Organization:
    """An organization; with a slug of its own when none is given."""
    slug = slug or f"organization-{next(_numbers)}"
    return organization_create(slug=slug, name=slug.title())


def person_make(organization: Organization, role: Role) -> Person:
    """A member of ``organization`` with an API token of the same role."""
    username, password = f"{role.value}-{next(_numbers)}", password_generate()
    user = user_create(username=username, password=password)
    membership_create(organization_id=organization.pk, user=user, role=role)
    actor = Actor(kind="person", id=str(user.public_id))
    administrator = Caller(organization_id=organization.pk, role=Role.ADMINISTRATOR, actor=actor, user_id=user.pk)
    token = api_token_create(caller=administrator, name="test", role=role, lifetime=None).text
    person = Person()
    person.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    person.organization = organization
    person.caller = Caller(organization_id=organization.pk, role=role, actor=actor, user_id=user.pk)
    person.token, person.username, person.password = token, username, password
    return person
