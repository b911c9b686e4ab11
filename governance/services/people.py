"""People and what they may do."""

from __future__ import annotations

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from common.clock import now
from common.errors import InvalidInputError
from governance.errors import MembershipExistsError, UserExistsError
from governance.models import Membership, Role, User
from governance.services.audit import audit_write
from governance.types import SYSTEM, Actor

_PASSWORD_BYTES = 18


def password_generate() -> str:
    """A random password with 144 bits, without characters that shells or URLs change."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def user_create(*, username: str, password: str, name: str = "") -> User:
    """Make a person who belongs to no organization yet.

    Raises:
        InvalidInputError: the user name or the password cannot be used.
        UserExistsError: the user name is taken.
    """
    user = User(username=User.normalize_username(username), first_name=name.strip(), date_joined=now())
    user.set_password(password)
    try:
        user.full_clean(validate_unique=False)
        validate_password(password, user)
    except ValidationError as error:
        fields = (
            {key: " ".join(texts) for key, texts in error.message_dict.items()}
            if hasattr(error, "error_dict")
            else {"password": " ".join(error.messages)}
        )
        raise InvalidInputError("The person cannot be made.", fields=fields) from error
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise UserExistsError(f"There is a person with the user name {username} already.") from error
    return user


def membership_create(*, organization_id: int, user: User, role: Role, actor: Actor = SYSTEM) -> Membership:
    """Give a person a role in an organization.

    Raises:
        MembershipExistsError: they have one already.
    """
    try:
        with transaction.atomic():
            membership = Membership.objects.create(
                organization_id=organization_id, user=user, role=role, created_at=now()
            )
            audit_write(
                organization_id=organization_id,
                actor=actor,
                action="membership.create",
                object_kind="person",
                object_id=str(user.public_id),
                data={"role": role.value},
            )
    except IntegrityError as error:
        raise MembershipExistsError(f"{user.username} is a member already.") from error
    return membership


def password_replace(*, organization_id: int, user: User, actor: Actor = SYSTEM) -> str:
    """Give a person a new random password, which ends their sessions. Returns it; it is not kept in clear."""
    password = password_generate()
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        audit_write(
            organization_id=organization_id,
            actor=actor,
            action="person.password_replace",
            object_kind="person",
            object_id=str(user.public_id),
        )
    return password
