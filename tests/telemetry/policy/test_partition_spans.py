"""Which partitions are missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from telemetry.services.partitions import Span, spans_missing

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)


def _covers(spans: list[Span], since: datetime, until: datetime) -> bool:
    at = since
    for span in sorted(spans, key=lambda one: one.start):
        if span.start <= at:
            at = max(at, span.end)
    return at >= until


def test_days_start_at_midnight_utc() -> None:
    spans = list(spans_missing([], since=NOON - DAY, until=NOON + DAY, width=DAY))
    assert spans[0] == Span(MIDNIGHT - DAY, MIDNIGHT)
    assert spans[1:] == [Span(MIDNIGHT, MIDNIGHT + DAY), Span(MIDNIGHT + DAY, MIDNIGHT + 2 * DAY)]


def test_what_exists_is_not_made_again() -> None:
    existing = [Span(MIDNIGHT - DAY, MIDNIGHT), Span(MIDNIGHT, MIDNIGHT + DAY)]
    assert list(spans_missing(existing, since=NOON - DAY, until=NOON, width=DAY)) == []


def test_a_changed_width_fills_the_gaps_and_overlaps_nothing() -> None:
    existing = [Span(MIDNIGHT, MIDNIGHT + DAY)]
    spans = list(spans_missing(existing, since=MIDNIGHT - 2 * HOUR, until=MIDNIGHT + DAY + 2 * HOUR, width=HOUR))
    assert spans == [
        Span(MIDNIGHT - 2 * HOUR, MIDNIGHT - HOUR),
        Span(MIDNIGHT - HOUR, MIDNIGHT),
        Span(MIDNIGHT + DAY, MIDNIGHT + DAY + HOUR),
        Span(MIDNIGHT + DAY + HOUR, MIDNIGHT + DAY + 2 * HOUR),
    ]
    back = list(spans_missing(spans, since=MIDNIGHT - 5 * HOUR, until=MIDNIGHT + 2 * DAY, width=DAY))
    assert _covers(back + spans, MIDNIGHT - 5 * HOUR, MIDNIGHT + 2 * DAY)
    ordered = sorted(back + spans, key=lambda span: span.start)
    assert all(left.end <= right.start for left, right in pairwise(ordered))
