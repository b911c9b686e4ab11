"""Bytes to structs and back; every refusal is an ``InvalidMessageError`` that names the field and index.

Limits (list lengths, ranges, finite numbers) are constraints of the struct types and are checked while
decoding, in C: the hot ingest path pays for no second walk over its values.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Literal, TypeVar, cast

import msgspec

from flotilla_protocol.errors import InvalidMessageError

JSON = "application/json"
MSGPACK = "application/msgpack"

T = TypeVar("T")
Format = Literal["json", "msgpack"]

# msgspec ends its messages with " - at `$.health.cpu_ratio[3]`".
_PLACE = re.compile(r"^(?P<text>.*?)(?: - at `(?:key in )?\$\.?(?P<field>.*)`)?$", re.DOTALL)


def format_of(content_type: str) -> Format:
    """The format a ``Content-Type`` names.

    Raises:
        InvalidMessageError: it is neither JSON nor MessagePack.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON:
        return "json"
    if kind in {MSGPACK, "application/x-msgpack", "application/vnd.msgpack"}:
        return "msgpack"
    raise InvalidMessageError(f"Content-Type must be {JSON} or {MSGPACK}.")


@lru_cache(maxsize=64)
def _decoder(kind: Hashable, wire: Format) -> Any:
    return msgspec.json.Decoder(kind) if wire == "json" else msgspec.msgpack.Decoder(kind)


def decode(body: bytes, kind: type[T], wire: Format = "json") -> T:
    """Read one message of type ``kind``.

    Raises:
        InvalidMessageError: the bytes are no such message.
    """
    try:
        message: T = _decoder(cast("Hashable", kind), wire).decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMessageError(f"This is no readable {wire} message.") from error
    return message


def convert(value: Any, kind: type[T]) -> T:
    """Check a value of plain dicts and lists (a JSON column, say) and make it a ``kind``.

    Raises:
        InvalidMessageError: the value is no such message.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def encode(message: Any, wire: Format = "json") -> bytes:
    """The message as bytes."""
    return msgspec.json.encode(message) if wire == "json" else msgspec.msgpack.encode(message)


def plain(message: Any) -> Any:
    """The message as plain dicts, lists, strings and numbers (for a JSON column)."""
    return msgspec.to_builtins(message)


def _invalid(error: msgspec.ValidationError) -> InvalidMessageError:
    found = _PLACE.match(str(error))
    text, field = (found["text"], found["field"]) if found else (str(error), None)
    return InvalidMessageError(f"{text.rstrip('.')}.", field=field or "")
