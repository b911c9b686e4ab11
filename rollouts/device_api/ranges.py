"""HTTP ranges and conditions (RFC 9110, sections 13 and 14), as far as devices use them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

_ONE_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")


@dataclass(frozen=True)
class Part:
    """What to send: ``length`` bytes from ``start``."""

    status: Literal[200, 206, 304, 412, 416]
    start: int
    length: int


def part_of(
    size: int,
    etag: str,
    modified: str,
    *,
    range_header: str = "",
    if_range: str = "",
    if_match: str = "",
    if_none_match: str = "",
) -> Part:
    """Which bytes a request gets.

    Several ranges, other units and what cannot be read get the whole file, as the standard allows; a range that begins
    beyond the end, or ends before it begins, is 416.

    Args:
        size: of the file in bytes.
        etag: the file's, with its quotes.
        modified: the file's ``Last-Modified``.
        range_header: ``Range``.
        if_range: ``If-Range``: an ETag or a date; another than ours gives the whole file.
        if_match: ``If-Match``.
        if_none_match: ``If-None-Match``.
    """
    if if_match and not _names(if_match, etag):
        return Part(412, 0, 0)
    if if_none_match and _names(if_none_match, etag):
        return Part(304, 0, 0)
    found = _ONE_RANGE.match(range_header.replace(" ", ""))
    if found is None or found.group() == "bytes=-" or (if_range and if_range not in {etag, modified}):
        return Part(200, 0, size)
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        return Part(206, size - length, length) if length else Part(416, 0, 0)
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if start >= size or end < start:
        return Part(416, 0, 0)
    return Part(206, start, end - start + 1)


def _names(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in {item.strip().removeprefix("W/") for item in header.split(",")}
