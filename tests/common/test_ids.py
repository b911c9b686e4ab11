"""UUIDv7."""

from __future__ import annotations

import time
import uuid

from common.ids import uuid7


def test_it_is_a_version_7_uuid_of_the_rfcs_variant() -> None:
    value = uuid7()

    assert value.version == 7
    assert value.variant == uuid.RFC_4122


def test_its_first_48_bits_are_the_unix_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid7()
    after = time.time_ns() // 1_000_000

    assert before <= value.int >> 80 <= after


def test_values_differ_within_a_millisecond() -> None:
    assert len({uuid7() for _ in range(1000)}) == 1000
