"""Bounds of the free texts around a device: attributes (its own), labels (people's)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import InvalidInputError

MAX_ENTRIES = 100
MAX_LENGTH = 128  # characters of a key or a value


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def texts_check(values: Mapping[Any, Any], *, field: str) -> dict[str, str]:
    """The mapping, when it is one of short texts to short texts.

    Args:
        values: what was sent.
        field: how the caller named it.

    Raises:
        InvalidInputError: too many entries; a key or value that is no text of at most 128 characters, or an empty key.
    """
    if len(values) > MAX_ENTRIES:
        raise InvalidInputError(
            f"At most {MAX_ENTRIES} {field} are kept.", fields={field: f"At most {MAX_ENTRIES} entries."}
        )
    for key, value in values.items():
        is_sound = (
            isinstance(key, str)
            and isinstance(value, str)
            and 1 <= len(key) <= MAX_LENGTH
            and len(value) <= MAX_LENGTH
            and is_storable(key)
            and is_storable(value)
        )
        if not is_sound:
            raise InvalidInputError(
                f"The {field} are not short texts by short names.",
                fields={field: f"Names and values are texts of at most {MAX_LENGTH} characters, without NUL."},
            )
    return dict(values)
