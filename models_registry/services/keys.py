"""Signing keys as files in ``KEYS_DIR``: one per organization and role, readable by the server's own user only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from securesystemslib.signer import CryptoSigner, Signer, SSlibKey  # type: ignore[attr-defined]

from common.clock import now
from common.errors import UnavailableError
from common.ids import uuid7
from models_registry.models import SigningKey

_NAME = re.compile(r"tuf-[0-9a-z-]+\.pem")


class KeyUnavailableError(UnavailableError):
    """A key's file is missing or cannot be read."""

    code = "models_registry.key_unavailable"


def key_create(*, organization_id: int, role: str) -> SigningKey:
    """Make an Ed25519 key. Its file is on disk before its row: a crash leaves a file without a row, never the reverse.

    Raises:
        KeyUnavailableError: the file cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    name = f"tuf-{organization_id}-{role}-{uuid7().hex[-12:]}.pem"
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        _write(Path(settings.KEYS_DIR) / name, pem)
    except OSError as error:
        raise KeyUnavailableError("A signing key cannot be written to FLOTILLA_KEYS_DIR.") from error
    public = SSlibKey.from_crypto(private.public_key())
    return SigningKey.objects.create(
        organization_id=organization_id,
        role=role,
        key_id=public.keyid,
        public=public.to_dict(),
        key_name=name,
        created_at=now(),
    )


def _write(path: Path, body: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def key_load(key: SigningKey) -> Signer:
    """The signer of a key.

    Raises:
        KeyUnavailableError: its file is missing, or holds another key.
    """
    if not _NAME.fullmatch(key.key_name):
        raise KeyUnavailableError("A signing key has no usable file name.", context={"key": key.key_id})
    try:
        pem = (Path(settings.KEYS_DIR) / key.key_name).read_bytes()
        private = serialization.load_pem_private_key(pem, None)
    except (OSError, ValueError) as error:
        raise KeyUnavailableError(
            "A signing key cannot be read from FLOTILLA_KEYS_DIR; tell the server's operator.",
            context={"key_name": key.key_name},
        ) from error
    if not isinstance(private, Ed25519PrivateKey) or SSlibKey.from_crypto(private.public_key()).keyid != key.key_id:
        raise KeyUnavailableError("A key file holds another key.", context={"key_name": key.key_name})
    return CryptoSigner(private, SSlibKey.from_dict(key.key_id, dict(key.public)))
