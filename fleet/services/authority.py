"""The device authority: the certificate authority that signs an organization's devices.

One P-256 key per organization, in a file of mode 0600 in ``KEYS_DIR``, made when the first device comes. Its
certificate may sign device certificates and nothing below them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.conf import settings
from django.db import transaction

from common.clock import now
from common.errors import UnavailableError
from common.ids import uuid7
from fleet.models import DeviceAuthority
from flotilla_protocol.errors import IdentityError
from flotilla_protocol.identity import key_from_pem, key_generate, key_to_pem, subject_name
from governance.models import Organization

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=365)
# A device whose clock is a little behind must not find its certificate not yet valid.
_BACKDATED = timedelta(minutes=5)
_ID_PREFIX = "urn:flotilla:device:"


@dataclass(frozen=True)
class Certificate:
    """A certificate and when it ends."""

    pem: str
    expires_at: datetime


def device_authority_ensure(*, organization_id: int) -> DeviceAuthority:
    """The organization's authority, made if there is none yet. Safe from several processes.

    Holds the organization's row until the transaction ends when it makes one. A transaction that rolls back leaves an
    unused key file behind and nothing else; file names are never used twice.
    """
    existing = DeviceAuthority.objects.filter(organization_id=organization_id).first()
    if existing is not None:
        return existing
    with transaction.atomic():
        organization = Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
        existing = DeviceAuthority.objects.filter(organization_id=organization_id).first()
        if existing is not None:
            return existing
        key = key_generate()
        key_name = f"device-authority-{uuid7()}.pem"
        _key_write(settings.KEYS_DIR / key_name, key_to_pem(key))
        return DeviceAuthority.objects.create(
            organization_id=organization_id,
            certificate_pem=_authority_certificate(key, organization.slug),
            key_name=key_name,
            created_at=now(),
        )


def device_certificate_sign(
    *, authority: DeviceAuthority, controller_id: str, public_key: ec.EllipticCurvePublicKey
) -> Certificate:
    """A certificate for a device's key, valid for one year, for TLS client authentication.

    Raises:
        UnavailableError: the authority's key file cannot be read.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem.encode())
    key = _key_read(settings.KEYS_DIR / authority.key_name)
    at = now()
    expires_at = (at + CERTIFICATE_LIFETIME).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject_name(controller_id))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _BACKDATED)
        .not_valid_after(expires_at)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_ID_PREFIX + controller_id)]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(pem=certificate.public_bytes(serialization.Encoding.PEM).decode(), expires_at=expires_at)


def _authority_certificate(key: ec.EllipticCurvePrivateKey, slug: str) -> str:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, slug),
            x509.NameAttribute(NameOID.COMMON_NAME, "Flotilla device authority"),
        ]
    )
    at = now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _BACKDATED)
        .not_valid_after(at + AUTHORITY_LIFETIME)
        # No authority may stand below this one.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_write(path: Path, pem: bytes) -> None:
    """Write a new file of mode 0600 and have it on disk before its name is in the database."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _key_read(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return key_from_pem(path.read_bytes())
    except (OSError, IdentityError) as error:
        raise UnavailableError(
            "The device authority's key cannot be used. Restore the keys folder from its backup.",
            code="fleet.authority_unavailable",
            context={"file": path.name},
        ) from error
