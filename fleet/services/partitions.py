"""Months of the event ledger: made ahead, dropped when old."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection, transaction
from psycopg import sql

from common.clock import now

TABLE = "fleet_deviceevent"
MONTHS_AHEAD = 3
MONTHS_KEPT = 24
_MONTHS_PER_YEAR = 12
# Serialises processes that make months at the same time; any number that nobody else uses.
_LOCK = 0x666C65657431

_EXISTING = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'fleet_deviceevent'::regclass
"""
# Rows that a wrong clock or a late run put into the default partition move first: attaching a month is refused while
# the default partition holds rows of it.
_MAKE = """
CREATE TABLE {month} (LIKE fleet_deviceevent INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
WITH moved AS (
    DELETE FROM fleet_deviceevent_default WHERE at >= {start} AND at < {end} RETURNING *
)
INSERT INTO {month} SELECT * FROM moved;
ALTER TABLE fleet_deviceevent ATTACH PARTITION {month} FOR VALUES FROM ({start}) TO ({end});
"""


def _month(at: datetime, offset: int) -> datetime:
    index = at.year * _MONTHS_PER_YEAR + at.month - 1 + offset
    return datetime(index // _MONTHS_PER_YEAR, index % _MONTHS_PER_YEAR + 1, 1, tzinfo=UTC)


def _name(month: datetime) -> str:
    return f"{TABLE}_{month:%Y_%m}"


def device_event_partitions_ensure() -> list[str]:
    """Make this month and the next three, drop months older than two years. Idempotent; safe from several processes.

    Returns the names of the partitions made.
    """
    at = now()
    made: list[str] = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute("SELECT to_regclass('fleet_deviceevent')")
        if cursor.fetchone()[0] is None:  # migrated back to before there was a ledger
            return []
        cursor.execute(_EXISTING)
        existing = {row[0] for row in cursor.fetchall()}
        for offset in range(MONTHS_AHEAD + 1):
            start, end = _month(at, offset), _month(at, offset + 1)
            if _name(start) in existing:
                continue
            statement = sql.SQL(_MAKE).format(
                month=sql.Identifier(_name(start)),
                start=sql.Literal(start.isoformat()),
                end=sql.Literal(end.isoformat()),
            )
            cursor.execute(statement.as_string(connection.connection))
            made.append(_name(start))
        oldest = _name(_month(at, -MONTHS_KEPT))
        for name in sorted(existing - {f"{TABLE}_default"}):
            if name < oldest:  # names sort by time
                cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)).as_string(connection.connection))
    return made
