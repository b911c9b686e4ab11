"""Identifiers shown outside: UUIDv7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import time
import uuid

_UNIX_MS_BITS = 48


def uuid7() -> uuid.UUID:
    """A new UUIDv7: 48 bits of Unix milliseconds, then 74 random bits.

    Values made in different milliseconds sort by time, which keeps index inserts at one end. Made here and not in
    SQL because ``uuidv7()`` only exists from PostgreSQL 18 on.
    """
    unix_ms = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (unix_ms & ((1 << _UNIX_MS_BITS) - 1)) << 80
    value |= 0x7 << 76  # version
    value |= (random_bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62  # variant
    value |= random_bits & ((1 << 62) - 1)
    return uuid.UUID(int=value)
