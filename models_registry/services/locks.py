"""Locks of the registry, in the one order they may be taken: uploads, content, trust, then the audit log's own."""

from __future__ import annotations

from django.db import connection

# Advisory locks share one 64-bit space in the database: the upper bits say what for, the lower ones for whom.
_UPLOADS = 0x464C_0001 << 32
_TRUST = 0x464C_0002 << 32
_CONTENT = 0x464C_0003 << 32
_CONTENT_DIGITS = 8  # 32 bits of the digest: two contents that share them wait for each other, no more


def _lock(key: int) -> None:
    if not connection.in_atomic_block:
        raise RuntimeError("a lock outside a transaction ends at once")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def lock_uploads(organization_id: int) -> None:
    """Count and create uploads of one organization one at a time, until the transaction ends."""
    _lock(_UPLOADS | organization_id)


def lock_content(sha256: str) -> None:
    """Register or remove one content at a time, whoever it belongs to, until the transaction ends."""
    _lock(_CONTENT | int(sha256[:_CONTENT_DIGITS], 16))


def lock_trust(organization_id: int) -> None:
    """Sign for one organization one at a time, until the transaction ends."""
    _lock(_TRUST | organization_id)
