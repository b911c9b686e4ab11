"""Who a device is, and how it proves it: P-256 keys, certificate requests, assertions, signed reports.

Assertions and reports are both signed by the device's key; their ``typ`` headers differ and are checked, so
that neither can pass for the other (RFC 8725, 3.11).
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

import jwt
import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flotilla_protocol import codec
from flotilla_protocol.errors import IdentityError, InvalidMessageError
from flotilla_protocol.limits import MAX_ASSERTION_S, MAX_CLOCK_SKEW_S
from flotilla_protocol.messages import VersionReport

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

ALGORITHM = "ES256"
ASSERTION_TYPE = "flotilla-assertion+jwt"
REPORT_TYPE = "flotilla-report+jws"

_COMMON_NAME_MAX = 64  # X.520; longer ids go into the subject alternative name alone
_ID_PREFIX = "urn:flotilla:device:"
_MAX_JTI = 128
_SUBJECT_PARTS = 2


class Assertion(msgspec.Struct, frozen=True):
    """A verified assertion. ``jti`` must be refused when seen before, and remembered until ``expires_at``."""

    tenant: str
    controller_id: str
    jti: str
    expires_at: datetime


# --- Keys -----------------------------------------------------------------------------------------
def key_generate() -> PrivateKey:
    """A new P-256 key: the curve TPMs and secure elements have."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: PrivateKey) -> bytes:
    """PKCS#8, not encrypted: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_from_pem(pem: bytes) -> PrivateKey:
    """Read a key written by ``key_to_pem``.

    Raises:
        IdentityError: it is no P-256 key.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IdentityError("The key file cannot be read.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityError("The key is not a P-256 key.")
    return key


def public_key_to_der(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo: how the control plane keeps it."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_key_from_der(der: bytes) -> PublicKey:
    """Read a key kept by ``public_key_to_der``.

    Raises:
        IdentityError: it is no P-256 key.
    """
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IdentityError("The public key cannot be read.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityError("The key is not a P-256 key.")
    return key


# --- Certificate requests -------------------------------------------------------------------------
def csr_make(key: PrivateKey, controller_id: str) -> str:
    """A certificate signing request (PEM) for this id.

    The id is the common name; one longer than 64 characters, which X.520 does not allow there, is cut in the
    common name and stands in full in a subject alternative name (URI).
    """
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject_name(controller_id))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_ID_PREFIX + controller_id)]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def subject_name(controller_id: str) -> x509.Name:
    """The subject of a device's request and certificate."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, controller_id[:_COMMON_NAME_MAX])])


def csr_verify(csr_pem: str, controller_id: str) -> PublicKey:
    """The key of a request that is sound and names this device.

    Raises:
        IdentityError: unreadable, not signed by its own key, not P-256, or another name.
    """
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        key = request.public_key()
        is_signed = request.is_signature_valid
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        alternative = _alternative_ids(request)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise IdentityError("The certificate request cannot be read.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IdentityError("The certificate request's key is not a P-256 key.")
    if not is_signed:
        raise IdentityError("The certificate request is not signed by its own key.")
    if [name.value for name in names] != [controller_id[:_COMMON_NAME_MAX]]:
        raise IdentityError("The certificate request's common name is not the controller id.")
    if alternative != [controller_id] and (alternative or len(controller_id) > _COMMON_NAME_MAX):
        raise IdentityError("The certificate request names another device.")
    return key


def _alternative_ids(request: x509.CertificateSigningRequest) -> list[str]:
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
    return [uri.removeprefix(_ID_PREFIX) for uri in uris]


# --- Assertions -----------------------------------------------------------------------------------
def assertion_audience(device_url: str, tenant: str) -> str:
    """The ``aud`` of an assertion: the control plane's device address and the tenant in lower case."""
    return f"{device_url.rstrip('/')}/{tenant.lower()}"


def assertion_make(
    *, key: PrivateKey, tenant: str, controller_id: str, audience: str, now: datetime, lifetime_s: int = 55
) -> str:
    """A fresh assertion (JWT, ES256), good once and for ``lifetime_s`` (at most 60)."""
    subject = f"{tenant.lower()}/{controller_id}"
    claims = {
        "iss": subject,
        "sub": subject,
        "aud": audience,
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + min(lifetime_s, MAX_ASSERTION_S),
        "jti": secrets.token_urlsafe(18),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"typ": ASSERTION_TYPE})


def assertion_subject(assertion: str) -> tuple[str, str]:
    """Tenant and controller id an assertion claims, unverified: only to find the key to verify it with.

    Raises:
        IdentityError: it claims none.
    """
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
        parts = str(claims["sub"]).split("/")
    except (jwt.PyJWTError, KeyError, ValueError) as error:
        raise IdentityError("The assertion cannot be read.") from error
    if len(parts) != _SUBJECT_PARTS or not all(parts):
        raise IdentityError("The assertion's subject is not tenant/controller_id.")
    return parts[0], parts[1]


def assertion_verify(assertion: str, *, public_key: PublicKey, audience: str, now: datetime) -> Assertion:
    """Check everything about an assertion but whether its ``jti`` was used before.

    A device clock may run ahead by 30 seconds; an assertion lives 60 seconds at most, whatever it claims.

    Raises:
        IdentityError: wrong type, signature, audience, issuer or time; too long a life; no ``jti``.
    """
    try:
        if jwt.get_unverified_header(assertion).get("typ") != ASSERTION_TYPE:
            raise IdentityError("This is no assertion.")
        claims = jwt.decode(
            assertion,
            public_key,
            algorithms=[ALGORITHM],
            audience=audience,
            # Times are compared below, with the clock the caller gives.
            options={
                "require": ["iss", "sub", "aud", "iat", "exp", "jti"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        issued = datetime.fromtimestamp(int(claims["iat"]), UTC)
        expires = datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError) as error:
        raise IdentityError("The assertion is not valid.") from error
    if claims["iss"] != claims["sub"]:
        raise IdentityError("The assertion's issuer is not its subject.")
    if not timedelta(0) < expires - issued <= timedelta(seconds=MAX_ASSERTION_S):
        raise IdentityError(f"An assertion lives at most {MAX_ASSERTION_S} seconds.")
    if issued > now + timedelta(seconds=MAX_CLOCK_SKEW_S):
        raise IdentityError("The assertion is from the future: check the device's clock.")
    if expires <= now:
        raise IdentityError("The assertion has expired: check the device's clock.")
    jti = claims["jti"]
    if not isinstance(jti, str) or not 1 <= len(jti) <= _MAX_JTI:
        raise IdentityError("The assertion has no usable jti.")
    tenant, controller_id = assertion_subject(assertion)
    return Assertion(tenant=tenant, controller_id=controller_id, jti=jti, expires_at=expires)


def jti_hash(tenant: str, controller_id: str, jti: str) -> bytes:
    """SHA-256 under which a used ``jti`` is remembered; two devices may choose the same."""
    return hashlib.sha256(f"{tenant}/{controller_id}/{jti}".encode()).digest()


# --- Reports --------------------------------------------------------------------------------------
def report_sign(report: VersionReport, key: PrivateKey) -> str:
    """The report as a compact JWS (ES256)."""
    return jwt.PyJWS().encode(codec.encode(report), key, algorithm=ALGORITHM, headers={"typ": REPORT_TYPE})


def report_verify(jws: str, public_key: PublicKey, controller_id: str) -> VersionReport:
    """The report in a JWS signed by this key, about this device.

    Raises:
        IdentityError: wrong type or signature, or another device's report.
        InvalidMessageError: signed well, and no report.
    """
    try:
        signed = jwt.PyJWS().decode_complete(jws, public_key, algorithms=[ALGORITHM])
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise IdentityError("The report's signature is not valid.") from error
    if signed["header"].get("typ") != REPORT_TYPE:
        raise IdentityError("This is no version report.")
    report = codec.decode(signed["payload"], VersionReport)
    if report.controller_id != controller_id:
        raise IdentityError("The report is about another device.")
    return report


__all__ = [
    "Assertion",
    "InvalidMessageError",
    "assertion_audience",
    "assertion_make",
    "assertion_subject",
    "assertion_verify",
    "csr_make",
    "csr_verify",
    "jti_hash",
    "key_from_pem",
    "key_generate",
    "key_to_pem",
    "public_key_from_der",
    "public_key_to_der",
    "report_sign",
    "report_verify",
    "subject_name",
]
