"""Signing in, with a budget of attempts per address and per name."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth import authenticate
from django.contrib.sessions.models import Session
from django.db import connection, transaction

from common.clock import now
from governance.errors import SignInLimitedError, SignInRefusedError
from governance.models import SignInBudget, User
from governance.services.audit import audit_write
from governance.types import Actor, Caller

WINDOW = timedelta(minutes=5)
# A person mistypes a few times; an address may be a whole hospital behind one router.
ATTEMPTS_PER_NAME = 10
ATTEMPTS_PER_ADDRESS = 60

# One statement, so that attempts made at the same time each count.
_SPEND = """
INSERT INTO governance_signinbudget AS budget (key, attempts, window_ends_at)
VALUES (%(key)s, 1, %(window_ends_at)s)
ON CONFLICT (key) DO UPDATE SET
    attempts = CASE WHEN budget.window_ends_at <= %(now)s THEN 1 ELSE budget.attempts + 1 END,
    window_ends_at = CASE WHEN budget.window_ends_at <= %(now)s THEN EXCLUDED.window_ends_at
                          ELSE budget.window_ends_at END
RETURNING attempts, window_ends_at
"""


@dataclass(frozen=True)
class _Budget:
    kind: str
    subject: str
    attempts: int

    @property
    def key(self) -> bytes:
        return hashlib.sha256(f"{self.kind}:{self.subject}".encode()).digest()

    def spend(self) -> None:
        """Count one attempt.

        Raises:
            SignInLimitedError: the window's attempts are used up.
        """
        at = now()
        with connection.cursor() as cursor:
            cursor.execute(_SPEND, {"key": self.key, "now": at, "window_ends_at": at + WINDOW})
            attempts, window_ends_at = cursor.fetchone()
        if attempts > self.attempts:
            raise SignInLimitedError(retry_after_s=max(1, math.ceil((window_ends_at - at).total_seconds())))


def sign_in(*, username: str, password: str, address: str) -> User:
    """The person whose name and password these are. Call outside a transaction: failed attempts must stay counted.

    The address is charged first, so that one address cannot fill the table with names. Attempts count before the
    password is looked at, so that guesses made at the same time gain nothing.

    Args:
        username: as typed.
        password: as typed.
        address: the client's network address.

    Raises:
        SignInLimitedError: too many attempts from the address or for the name.
        SignInRefusedError: unknown, inactive or wrong; one text for all, after the same work.
    """
    name_budget = _Budget("name", username.casefold(), ATTEMPTS_PER_NAME)
    _Budget("address", address, ATTEMPTS_PER_ADDRESS).spend()
    name_budget.spend()
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise SignInRefusedError("The user name or the password is wrong.")
    SignInBudget.objects.filter(key=name_budget.key).delete()
    return user


def sign_in_record(*, caller: Caller, user: User) -> None:
    """Put a successful sign-in into the audit log of the organization it is for."""
    _record(organization_id=caller.organization_id, user=user, action="session.sign_in")


def sign_out_record(*, caller: Caller, user: User) -> None:
    """Put a sign-out into the audit log."""
    _record(organization_id=caller.organization_id, user=user, action="session.sign_out")


def _record(*, organization_id: int, user: User, action: str) -> None:
    with transaction.atomic():
        audit_write(
            organization_id=organization_id,
            actor=Actor(kind="person", id=str(user.public_id)),
            action=action,
            object_kind="person",
            object_id=str(user.public_id),
        )


def sessions_purge() -> int:
    """Remove sessions and budgets whose time is over. Returns how many rows went."""
    at = now()
    sessions, _ = Session.objects.filter(expire_date__lte=at).delete()
    budgets, _ = SignInBudget.objects.filter(window_ends_at__lte=at).delete()
    return sessions + budgets
