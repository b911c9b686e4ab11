"""From a request to a ``Caller``: sessions for browsers, bearer tokens for integrations.

The same functions serve DRF views and the raw ASGI doors (uploads, live socket), so that there is one answer to the
question who is asking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from common.clock import now
from common.errors import NotAuthenticatedError, NotPermittedError
from governance.models import ApiToken, Membership, Role, User
from governance.types import Actor, Caller

SESSION_ORGANIZATION_KEY = "organization_id"
# A token's last use is shown to people; writing it on every request would cost one UPDATE per request.
_LAST_USED_RESOLUTION = timedelta(minutes=1)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def caller_from_token(token: str) -> Caller:
    """The caller of an API token.

    Raises:
        NotAuthenticatedError: unknown, expired or revoked; one text for all three.
    """
    digest = hashlib.sha256(token.encode()).digest()
    row = ApiToken.objects.filter(token_hash=digest, revoked_at=None).first()
    at = now()
    if row is None or (row.expires_at is not None and row.expires_at <= at):
        raise NotAuthenticatedError("The API token is unknown, expired or revoked. Make a new one under Settings.")
    if row.last_used_at is None or at - row.last_used_at > _LAST_USED_RESOLUTION:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=at)
    return Caller(
        organization_id=row.organization_id,
        role=Role(row.role),
        actor=Actor(kind="token", id=str(row.public_id)),
        token_id=row.pk,
    )


def caller_of_user(user: User, organization_id: int | None) -> Caller:
    """The caller a signed-in person is, in the chosen organization or their first.

    Raises:
        NotPermittedError: the person belongs to no organization, or not to that one.
    """
    memberships = Membership.objects.filter(user=user).order_by("id")
    if organization_id is not None:
        memberships = memberships.filter(organization_id=organization_id)
    membership = memberships.first()
    if membership is None:
        raise NotPermittedError("You belong to no organization here. An administrator can add you.")
    return Caller(
        organization_id=membership.organization_id,
        role=Role(membership.role),
        actor=Actor(kind="person", id=str(user.public_id)),
        user_id=user.pk,
    )


def _user_of_session(session: SessionBase) -> User | None:
    """The signed-in person, with Django's own checks: known backend, active, and the password unchanged since."""
    user_id = session.get(SESSION_KEY)
    if user_id is None or session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return None
    stored_hash = session.get(HASH_SESSION_KEY, "")
    return user if constant_time_compare(stored_hash, user.get_session_auth_hash()) else None


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    raw = cast("Iterable[tuple[bytes, bytes]]", scope["headers"])
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


def origin_is_ours(origin: str) -> bool:
    """Whether a browser's ``Origin`` is one this installation serves its dashboard from."""
    parts = urlsplit(origin)
    return f"{parts.scheme}://{parts.netloc}" in settings.CSRF_TRUSTED_ORIGINS


def caller_from_scope(scope: Mapping[str, Any]) -> Caller:
    """The caller of a raw ASGI connection. Synchronous: reads the database.

    A session is accepted for an unsafe method or a WebSocket only together with an ``Origin`` of ours: a browser sends
    it with both, and another site cannot forge it.

    Raises:
        NotAuthenticatedError: neither a valid token nor a valid session.
        NotPermittedError: the person belongs to no organization, or the origin is not ours.
    """
    headers = _headers(scope)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return caller_from_token(token.strip())
    session_key = _cookies(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    if session_key:
        if scope.get("method") not in _SAFE_METHODS and not origin_is_ours(headers.get("origin", "")):
            raise NotPermittedError(
                "The request does not come from the dashboard's own address.", code="origin_refused"
            )
        session: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
        user = _user_of_session(session)
        if user is not None:
            return caller_of_user(user, session.get(SESSION_ORGANIZATION_KEY))
    raise NotAuthenticatedError("Nobody is signed in. Sign in, or send an API token.")


class ApiTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer flt_...``; ``request.auth`` becomes the ``Caller``."""

    def authenticate(self, request: Request) -> tuple[None, Caller] | None:
        """See ``caller_from_token``."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        return None, caller_from_token(token.strip())

    def authenticate_header(self, request: Request) -> str:
        """What a 401 names as the way in."""
        return "Bearer"


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: Any, reason: str) -> Any:
        return reason


def csrf_require(http_request: HttpRequest) -> None:
    """Refuse an unsafe request that a page of another site could have made.

    Raises:
        NotPermittedError: the CSRF token is missing or wrong, or the origin is not ours.
    """
    check = _CsrfCheck(lambda _request: None)  # type: ignore[arg-type]
    check.process_request(http_request)
    refusal = check.process_view(http_request, None, (), {})  # type: ignore[arg-type]
    if refusal:
        raise NotPermittedError(f"The request lacks a valid CSRF token: {refusal}", code="csrf_failed")


class SessionAuthentication(BaseAuthentication):
    """The dashboard's session cookie, with Django's CSRF check on unsafe methods."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        """The signed-in person's caller, or None when nobody is signed in."""
        http_request = request._request  # noqa: SLF001 - DRF's own authentication classes reach it the same way
        user = getattr(http_request, "user", None)
        if not isinstance(user, User) or not user.is_active:
            return None
        csrf_require(http_request)
        return user, caller_of_user(user, http_request.session.get(SESSION_ORGANIZATION_KEY))
