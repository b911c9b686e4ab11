"""Partitions of the series: made ahead, indexed when closed, dropped when old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection

from common.clock import advanced, now
from common.pool import conninfo
from telemetry.models import HealthSample
from telemetry.services.partitions import TABLES, series_partitions_ensure, series_partitions_maintain

pytestmark = pytest.mark.sql

Rows = Callable[..., list[tuple[Any, ...]]]
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _only_todays(committed: None) -> Iterator[None]:
    yield
    with connection.cursor() as cursor:
        for table in TABLES:
            for name in _partitions(table):
                cursor.execute(f"DROP TABLE {name}")
    series_partitions_ensure()


def _partitions(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", [table]
        )
        return [name for (name,) in cursor.fetchall()]


def _has_device_index(partition: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = %s::regclass AND i.indisvalid AND c.relname LIKE '%%_device'",
            [partition],
        )
        [(count,)] = cursor.fetchall()
        return bool(count)


def test_partitions_reach_from_the_oldest_accepted_time_to_two_days_ahead(committed: None) -> None:
    assert series_partitions_ensure() == ()
    for table in TABLES:
        names = _partitions(table)
        assert f"{table}_{now():%Y%m%d}00" in names
        assert f"{table}_{now() + DAY:%Y%m%d}00" in names
        assert f"{table}_{now() - 7 * DAY:%Y%m%d}00" in names


def test_making_them_again_makes_only_what_is_new(committed: None) -> None:
    with advanced(DAY):
        made = series_partitions_ensure()
    assert len(made) == len(TABLES)
    assert series_partitions_ensure() == ()


def test_every_partition_finds_its_time_by_brin(committed: None, rows: Rows) -> None:
    for table in TABLES:
        for name in _partitions(table):
            kinds = rows(
                "SELECT am.amname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                "JOIN pg_am am ON am.oid = c.relam WHERE i.indrelid = %s::regclass",
                name,
            )
            assert ("brin",) in kinds


def test_closed_partitions_get_their_device_index_and_open_ones_do_not(committed: None) -> None:
    done = series_partitions_maintain()
    assert done.dropped == ()
    table = TABLES[0]
    assert _has_device_index(f"{table}_{now() - 3 * DAY:%Y%m%d}00")
    assert not _has_device_index(f"{table}_{now():%Y%m%d}00")
    assert not _has_device_index(f"{table}_{now() + DAY:%Y%m%d}00")
    assert series_partitions_maintain().indexed == ()


def test_a_build_that_was_cut_off_is_made_again(committed: None, rows: Rows) -> None:
    partition = f"{TABLES[0]}_{now() - 3 * DAY:%Y%m%d}00"
    with connection.cursor() as cursor:
        at = now() - 3 * DAY
        cursor.execute("INSERT INTO telemetry_healthsample (device_id, ts) VALUES (1, %s), (1, %s)", [at, at])
        # A unique index over equal rows fails half-way, as a build does whose session was lost.
        with pytest.raises(IntegrityError):
            cursor.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {partition}_device ON {partition} (device_id, ts)")
    assert rows("SELECT count(*) FROM pg_class WHERE relname = %s", f"{partition}_device") == [(1,)]
    assert not _has_device_index(partition)
    series_partitions_maintain()
    assert _has_device_index(partition)


def test_what_is_past_the_retention_goes_with_its_rows(committed: None, settings: Any) -> None:
    settings.TELEMETRY_RETENTION_HOURS = 48
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO telemetry_healthsample (device_id, ts) VALUES (1, %s), (1, %s)", [now(), now() - 5 * DAY]
        )
    done = series_partitions_maintain()
    assert f"telemetry_healthsample_{now() - 5 * DAY:%Y%m%d}00" in done.dropped
    assert HealthSample.objects.count() == 1
    assert series_partitions_maintain().dropped == ()


def test_hours_work_as_well_as_days_even_after_a_change(committed: None, settings: Any) -> None:
    settings.TELEMETRY_PARTITION_HOURS = 1
    settings.TELEMETRY_RETENTION_HOURS = 6
    with advanced(3 * DAY):
        made = series_partitions_ensure()
        assert made
        with connection.cursor() as cursor:
            for hours in range(-5, 2):
                cursor.execute(
                    "INSERT INTO telemetry_healthsample (device_id, ts) VALUES (1, %s)",
                    [now() + timedelta(hours=hours)],
                )
        series_partitions_maintain()
    assert HealthSample.objects.count() == 7


def test_a_busy_partition_is_left_for_the_next_run(committed: None, settings: Any) -> None:
    settings.TELEMETRY_RETENTION_HOURS = 48
    old = f"telemetry_healthsample_{now() - 5 * DAY:%Y%m%d}00"
    with psycopg.connect(**conninfo()) as reader:  # type: ignore[arg-type]
        reader.execute(f"LOCK TABLE {old} IN ACCESS SHARE MODE")
        assert old not in series_partitions_maintain().dropped
    assert old in series_partitions_maintain().dropped
