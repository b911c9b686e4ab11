"""Random bearer secrets and their digests.

A secret has 256 random bits, so a plain SHA-256 of it can be stored and looked up; slow hashes are for what people
choose.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

_BYTES = 32
PREFIX_LENGTH = 12


@dataclass(frozen=True)
class BearerSecret:
    """A new secret: shown once as ``text``, stored as ``digest``, told apart by ``prefix``."""

    text: str = field(repr=False)
    digest: bytes
    prefix: str


def bearer_secret(kind: str) -> BearerSecret:
    """A new secret whose text starts with ``kind`` and an underscore, so that scanners recognise a leaked one."""
    text = f"{kind}_{secrets.token_urlsafe(_BYTES)}"
    return BearerSecret(text=text, digest=bearer_digest(text), prefix=text[:PREFIX_LENGTH])


def bearer_digest(text: str) -> bytes:
    """SHA-256 of a presented secret, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()
