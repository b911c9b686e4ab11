"""From a device's assertion to an access token.

Clocks: an assertion lives at most 60 seconds and may be from up to 30 seconds ahead of our clock
(``flotilla_protocol.identity``); a device whose clock is further off is refused and told so.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import timedelta

import jwt
from django.conf import settings
from django.db import connection, transaction

from common.clock import now
from fleet.errors import AccessRefusedError
from fleet.models import Device, UsedAssertion
from fleet.policy.lifecycle import MAY_CONNECT
from fleet.policy.texts import is_storable
from fleet.types import DeviceCaller
from flotilla_protocol.errors import IdentityError
from flotilla_protocol.identity import (
    Assertion,
    assertion_audience,
    assertion_subject,
    assertion_verify,
    jti_hash,
    public_key_from_der,
)

ACCESS_LIFETIME = timedelta(minutes=15)
TOKEN_TYPE = "flotilla-access+jwt"  # noqa: S105 - the JWT's type
_ALGORITHM = "HS256"
_UNKNOWN = "No device with this id is enrolled here."
_PURGE_BATCH = 10_000

_REMEMBER = """
INSERT INTO fleet_usedassertion (device_id, jti_hash, expires_at) VALUES (%s, %s, %s)
ON CONFLICT (jti_hash) DO NOTHING
"""


@dataclass(frozen=True)
class AccessToken:
    """A fresh access token."""

    text: str = field(repr=False)
    expires_in_s: int


@dataclass(frozen=True)
class VerifiedToken:
    """What a sound access token says."""

    caller: DeviceCaller
    generation: int
    expires_at_s: float  # Unix time


def access_token_issue(*, tenant: str, assertion: str) -> AccessToken:
    """Exchange an assertion for an access token, once.

    Args:
        tenant: the organization's slug from the path, in any case.
        assertion: the JWT the device signed.

    Raises:
        AccessRefusedError: unreadable, forged, expired, too long, for another audience, used before; or the device is
            unknown or may not connect.
    """
    try:
        claimed_tenant, controller_id = assertion_subject(assertion)
    except IdentityError as error:
        raise AccessRefusedError(str(error)) from error
    if claimed_tenant != tenant.lower():
        raise AccessRefusedError("The assertion is for another tenant.")
    if not is_storable(claimed_tenant + controller_id):
        raise AccessRefusedError(_UNKNOWN)
    with transaction.atomic():
        # The row is held so that a revocation made at the same time either is seen here or comes after us and
        # raises the generation above the one we put into the token.
        device = (
            Device.objects.select_for_update(of=("self",), no_key=True)
            .filter(organization__slug=claimed_tenant, controller_id=controller_id)
            .only("organization_id", "controller_id", "public_key", "state", "token_generation")
            .first()
        )
        if device is None or device.public_key is None:
            raise AccessRefusedError(_UNKNOWN)
        verified = _verify(assertion, tenant=claimed_tenant, public_key=bytes(device.public_key))
        if device.state not in MAY_CONNECT:
            raise AccessRefusedError("The device is not allowed to connect.", context={"state": device.state})
        with connection.cursor() as cursor:
            digest = jti_hash(claimed_tenant, controller_id, verified.jti)
            cursor.execute(_REMEMBER, [device.pk, digest, verified.expires_at])
            if cursor.rowcount == 0:
                raise AccessRefusedError("The assertion was used before; make a new one for every request.")
        caller = DeviceCaller(
            organization_id=device.organization_id,
            device_id=device.pk,
            controller_id=device.controller_id,
            tenant=claimed_tenant,
        )
        return access_token_encode(caller, generation=device.token_generation)


def _verify(assertion: str, *, tenant: str, public_key: bytes) -> Assertion:
    try:
        return assertion_verify(
            assertion,
            public_key=public_key_from_der(public_key),
            audience=assertion_audience(settings.DEVICE_URL, tenant),
            now=now(),
        )
    except IdentityError as error:
        raise AccessRefusedError(str(error)) from error


def _signing_key() -> bytes:
    """A key of its own, so that nothing else signed with the installation's secret can pass for an access token."""
    return hmac.new(settings.SECRET_KEY.encode(), b"flotilla.device-access-token", hashlib.sha256).digest()


def access_token_encode(caller: DeviceCaller, *, generation: int) -> AccessToken:
    """Sign an access token for 15 minutes."""
    issued = now()
    lifetime_s = int(ACCESS_LIFETIME.total_seconds())
    claims = {
        "org": caller.organization_id,
        "dev": caller.device_id,
        "cid": caller.controller_id,
        "tenant": caller.tenant,
        "gen": generation,
        "iat": int(issued.timestamp()),
        "exp": int(issued.timestamp()) + lifetime_s,
    }
    text = jwt.encode(claims, _signing_key(), algorithm=_ALGORITHM, headers={"typ": TOKEN_TYPE})
    return AccessToken(text=text, expires_in_s=lifetime_s)


def access_token_decode(text: str) -> VerifiedToken:
    """Check an access token's signature and times. No database; does not know of revocations.

    Raises:
        AccessRefusedError: forged, damaged or expired.
    """
    try:
        if jwt.get_unverified_header(text).get("typ") != TOKEN_TYPE:
            raise AccessRefusedError("This is no access token.")
        claims = jwt.decode(
            text,
            _signing_key(),
            algorithms=[_ALGORITHM],
            # Compared below with our own clock.
            options={
                "require": ["exp", "org", "dev", "cid", "tenant", "gen"],
                "verify_exp": False,
                "verify_iat": False,
            },
        )
        verified = VerifiedToken(
            caller=DeviceCaller(
                organization_id=int(claims["org"]),
                device_id=int(claims["dev"]),
                controller_id=str(claims["cid"]),
                tenant=str(claims["tenant"]),
            ),
            generation=int(claims["gen"]),
            expires_at_s=float(claims["exp"]),
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise AccessRefusedError("The access token is not valid; get a new one.") from error
    if verified.expires_at_s <= now().timestamp():
        raise AccessRefusedError("The access token has expired; get a new one.")
    return verified


def used_assertions_purge() -> int:
    """Forget assertions that have expired: they would be refused anyway. Returns how many."""
    at = now()
    total = 0
    while True:
        batch = UsedAssertion.objects.filter(expires_at__lt=at).order_by("expires_at").values("pk")[:_PURGE_BATCH]
        count, _ = UsedAssertion.objects.filter(pk__in=batch).delete()
        total += count
        if count < _PURGE_BATCH:
            return total
