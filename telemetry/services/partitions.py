"""Partitions of the series: made ahead, indexed when closed, dropped when old.

Width and retention are settings (``FLOTILLA_PARTITION_HOURS``, ``FLOTILLA_RETENTION_HOURS``); both may change while
data is there, since what exists is read from the catalogue and only the gaps are filled.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

from common.clock import now
from common.pool import conninfo

logger = logging.getLogger(__name__)

TABLES = ("telemetry_healthsample", "telemetry_inferencewindow")
BACKLOG_MAX = timedelta(days=7)  # a device that was away longer has its oldest rows left out
_PARTITIONS_AHEAD = 2
# A drop needs the whole table for a moment; ingest must not queue behind it for longer than this.
_LOCK_TIMEOUT = "1s"
_LOCK = 0x74656C656D  # serialises processes that make partitions; any number nobody else uses

_EXISTING = """
SELECT c.relname,
       (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''([^'']+)''\\)'))[1]::timestamptz,
       (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''([^'']+)''\\)'))[1]::timestamptz
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass ORDER BY 2
"""
_INDEX_STATE = """
SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::regclass AND c.relname = %s
"""


@dataclass(frozen=True)
class Span:
    """A half-open stretch of time."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class PartitionsMaintained:
    """What ``series_partitions_maintain`` did, by partition name."""

    made: tuple[str, ...]
    indexed: tuple[str, ...]
    dropped: tuple[str, ...]


def oldest_accepted(at: datetime) -> datetime:
    """Rows before this are not taken: partitions reach back this far."""
    return at - min(timedelta(hours=settings.TELEMETRY_RETENTION_HOURS), BACKLOG_MAX)


def spans_missing(existing: Iterable[Span], *, since: datetime, until: datetime, width: timedelta) -> Iterator[Span]:
    """The spans to make so that ``since`` to ``until`` is covered; pure.

    New spans lie on the grid of ``width`` counted from 1970 and are cut where an existing one begins or ends.
    """
    ordered = sorted(existing, key=lambda span: span.start)
    at = _floor(since, width)
    while at < until:
        inside = next((span for span in ordered if span.start <= at < span.end), None)
        if inside is not None:
            at = inside.end
            continue
        end = _floor(at, width) + width
        following = next((span.start for span in ordered if span.start > at), end)
        yield Span(at, min(end, following))
        at = min(end, following)


def _floor(at: datetime, width: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (at - epoch) // width * width


@contextmanager
def _connection() -> Iterator[psycopg.Connection[Any]]:
    """A session of our own in autocommit: ``CREATE INDEX CONCURRENTLY`` refuses to run inside a transaction."""
    with psycopg.connect(**conninfo(), autocommit=True, application_name="flotilla-partitions") as connection:  # type: ignore[arg-type]
        connection.execute("SET timezone = 'UTC'")
        connection.execute(sql.SQL("SET lock_timeout = {}").format(_LOCK_TIMEOUT))
        yield connection


def _existing(connection: psycopg.Connection[Any], table: str) -> dict[str, Span]:
    return {name: Span(start, end) for name, start, end in connection.execute(_EXISTING, (table,)) if start and end}


def series_partitions_ensure() -> tuple[str, ...]:
    """Make what is missing from the oldest accepted time to two partitions ahead. Idempotent; safe from many processes.

    Returns:
        Names of the partitions made.
    """
    with _connection() as connection:
        return _ensure(connection)


def _ensure(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    at = now()
    width = timedelta(hours=settings.TELEMETRY_PARTITION_HOURS)
    made: list[str] = []
    for table in TABLES:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            spans = spans_missing(
                _existing(connection, table).values(),
                since=oldest_accepted(at),
                until=at + _PARTITIONS_AHEAD * width,
                width=width,
            )
            made += [_make(connection, table, span) for span in spans]
    return tuple(made)


def _make(connection: psycopg.Connection[Any], table: str, span: Span) -> str:
    name = f"{table}_{span.start:%Y%m%d%H}"
    # Made apart and then attached: unlike CREATE TABLE .. PARTITION OF, that lets ingest go on.
    connection.execute(
        sql.SQL("CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)").format(
            name=sql.Identifier(name), table=sql.Identifier(table)
        )
    )
    connection.execute(
        sql.SQL("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})").format(
            table=sql.Identifier(table),
            name=sql.Identifier(name),
            start=span.start.isoformat(),
            end=span.end.isoformat(),
        )
    )
    return name


def series_partitions_maintain() -> PartitionsMaintained:
    """Make partitions ahead, index the closed ones by device, drop those past the retention.

    Idempotent. A partition that is busy is left for the next run.
    """
    at = now()
    width = timedelta(hours=settings.TELEMETRY_PARTITION_HOURS)
    cutoff = at - timedelta(hours=settings.TELEMETRY_RETENTION_HOURS)
    indexed: list[str] = []
    dropped: list[str] = []
    with _connection() as connection:
        made = _ensure(connection)
        for table in TABLES:
            for name, span in _existing(connection, table).items():
                if span.end <= cutoff:
                    if _try(connection, [sql.SQL("DROP TABLE {}").format(sql.Identifier(name))]):
                        dropped.append(name)
                # Closed a full width ago: what devices send late has mostly arrived.
                elif span.end + width <= at and _index(connection, name):
                    indexed.append(name)
    return PartitionsMaintained(made=made, indexed=tuple(indexed), dropped=tuple(dropped))


def _index(connection: psycopg.Connection[Any], partition: str) -> bool:
    """Build btree(device_id, ts) without stopping writers. False when it is there already, or could not be made now."""
    name = f"{partition}_device"
    state = connection.execute(_INDEX_STATE, (partition, name)).fetchone()
    if state is not None and state[0]:
        return False
    build = sql.SQL("CREATE INDEX CONCURRENTLY {name} ON {partition} (device_id, ts)").format(
        name=sql.Identifier(name), partition=sql.Identifier(partition)
    )
    # A build that was cut off leaves an invalid index behind.
    discard = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name))
    return _try(connection, [build] if state is None else [discard, build])


def _try(connection: psycopg.Connection[Any], statements: Sequence[sql.Composed]) -> bool:
    try:
        for statement in statements:
            connection.execute(statement)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable, psycopg.errors.DuplicateTable):
        logger.info("partition is busy or was maintained by another process; next run", exc_info=True)
        return False
    return True
