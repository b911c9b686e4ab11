"""Ingest through the devices' door: what is stored, once, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from flotilla_protocol.limits import MAX_TELEMETRY_BYTES
from flotilla_protocol.messages import HEALTH_COLUMNS, telemetry_encode
from flotilla_protocol.sketch import HistogramSketch
from governance.models import Organization
from telemetry.models import DeviceLatest
from telemetry.policy.sketches import sketches_unpack
from telemetry.services import ingest
from tests.factories.telemetry import DIGEST, Sender, health_make, now_ms, sender_make, window_make

Rows = Callable[..., list[tuple[Any, ...]]]

pytestmark = [pytest.mark.sql, pytest.mark.usefixtures("committed")]


async def _post(door: httpx.AsyncClient, sender: Sender, body: bytes, **headers: str) -> httpx.Response:
    return await door.post(sender.path, content=body, headers=sender.headers | headers)


async def _query(rows: Rows, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return await sync_to_async(rows)(query, *parameters)


async def _latest(sender: Sender) -> DeviceLatest:
    return await sync_to_async(DeviceLatest.objects.get)(device_id=sender.device.pk)


class TestWhatIsStored:
    async def test_every_value_of_every_row_arrives(self, door: httpx.AsyncClient, sender: Sender, rows: Rows) -> None:
        columns = {name: [0.25, None, 0.75] for name in HEALTH_COLUMNS}
        health = health_make(3, **columns)
        answer = await _post(door, sender, sender.body(stream=2, health=health))
        assert answer.status_code == 200
        assert answer.json() == {"stream": 2, "sequence": 1}
        stored = await _query(
            rows,
            f"SELECT device_id, (extract(epoch FROM ts) * 1000)::bigint, {', '.join(HEALTH_COLUMNS)} "  # noqa: S608
            "FROM telemetry_healthsample ORDER BY ts",
        )
        expected = [0.25, None, 0.75]
        assert stored == [
            (sender.device.pk, health.ts_ms[row], *(expected[row] for _ in HEALTH_COLUMNS)) for row in range(3)
        ]

    async def test_absent_columns_are_null(self, door: httpx.AsyncClient, sender: Sender, rows: Rows) -> None:
        await _post(door, sender, sender.body(health=health_make(2, temperature_c=[40.5, 41.5])))
        await _post(door, sender, sender.body(health=health_make(2, cpu_ratio=None)))
        stored = await _query(
            rows, "SELECT temperature_c, cpu_ratio, load_1m FROM telemetry_healthsample ORDER BY temperature_c"
        )
        assert stored == [(40.5, None, None), (41.5, None, None), (None, None, None), (None, None, None)]

    async def test_a_window_arrives_with_its_sketches(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows
    ) -> None:
        sketch = HistogramSketch(
            feature="contrast", counts=[0, 70_000, 3], sums=[0.0, 1.5, -2.25], missing=1, below=2, above=3
        )
        small = HistogramSketch(feature="margin", counts=[5], sums=[2.5])
        await _post(door, sender, sender.body(stream=1, windows=[window_make(sketches=[sketch, small])]))
        [(device_id, model, version, digest, count, p95, stored)] = await _query(
            rows,
            "SELECT device_id, model_name, version, digest, inference_count, latency_ms_p95, sketches "
            "FROM telemetry_inferencewindow",
        )
        assert (device_id, model, version, digest, count, p95) == (
            sender.device.pk,
            "digits",
            "1.0.0",
            DIGEST,
            100,
            9.0,
        )
        first, second = sketches_unpack(bytes(stored))
        assert (first.feature, first.counts.tolist(), first.sums.tolist()) == (
            "contrast",
            [0, 70_000, 3],
            [0.0, 1.5, -2.25],
        )
        assert (first.missing, first.below, first.above) == (1, 2, 3)
        assert (second.feature, second.counts.tolist()) == ("margin", [5])

    async def test_json_is_taken_as_well(self, door: httpx.AsyncClient, sender: Sender, rows: Rows) -> None:
        body = telemetry_encode(sender.batch(), "json")
        answer = await _post(door, sender, body, **{"Content-Type": "application/json; charset=utf-8"})
        assert answer.status_code == 200
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(1,)]

    async def test_the_newest_values_are_kept_by_time_and_not_by_arrival(
        self, door: httpx.AsyncClient, sender: Sender
    ) -> None:
        at = now_ms()
        await _post(door, sender, sender.body(stream=2, health=health_make(2, at_ms=at, cpu_ratio=[0.1, 0.2])))
        await _post(door, sender, sender.body(stream=3, health=health_make(1, at_ms=at - 60_000, cpu_ratio=[0.9])))
        await _post(door, sender, sender.body(stream=1, windows=[window_make(at_ms=at, inference_count=7)]))
        await _post(door, sender, sender.body(stream=3, windows=[window_make(at_ms=at - 9_000, inference_count=9)]))
        latest = await _latest(sender)
        assert latest.health is not None
        assert latest.window is not None
        assert latest.health["cpu_ratio"] == 0.2
        assert latest.health["power_w"] is None
        assert latest.health_at is not None
        assert int(latest.health_at.timestamp() * 1000) == at
        assert latest.window["inference_count"] == 7
        assert "sketches" not in latest.window
        assert (latest.sequence_1, latest.sequence_2, latest.sequence_3) == (1, 1, 2)

    async def test_the_device_counts_as_heard_of(self, door: httpx.AsyncClient, sender: Sender) -> None:
        await _post(door, sender, sender.body())
        async with asyncio.timeout(10):
            while sender.device.last_seen_at is None:
                await sync_to_async(sender.device.refresh_from_db)()


class TestOnce:
    async def test_a_repeated_batch_is_acknowledged_and_not_stored_again(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows
    ) -> None:
        body = sender.body(health=health_make(5))
        for _ in range(3):
            answer = await _post(door, sender, body)
            assert (answer.status_code, answer.json()) == (200, {"stream": 2, "sequence": 1})
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(5,)]

    async def test_the_same_batch_over_many_connections_at_once_is_stored_once(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows
    ) -> None:
        bodies = [sender.body(health=health_make(2)) for _ in range(5)]
        answers = await asyncio.gather(*(_post(door, sender, body) for body in bodies * 8))
        assert {answer.status_code for answer in answers} == {200}
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(10,)]

    async def test_streams_count_apart(self, door: httpx.AsyncClient, sender: Sender, rows: Rows) -> None:
        for stream in range(4):
            assert (await _post(door, sender, sender.body(stream=stream))).status_code == 200
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(4,)]

    async def test_a_gap_in_the_sequence_is_accepted_and_what_lies_below_is_not_taken_later(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows
    ) -> None:
        for sequence in (5, 4, 9):
            answer = await _post(door, sender, sender.body(sequence=sequence))
            assert answer.json() == {"stream": 2, "sequence": sequence}
        latest = await _latest(sender)
        assert latest.sequence_2 == 9
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(2,)]


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"stream": 9}, "stream"),
            ({"sequence": 0}, "sequence"),
            ({"health": {"ts_ms": [1_700_000_000_000], "cpu_ratio": [1.5]}}, "health.cpu_ratio[0]"),
            ({"health": {"ts_ms": [1_700_000_000_000], "power_w": [float("nan")]}}, "health.power_w[0]"),
            ({"health": {"ts_ms": [1_700_000_000_000], "power_w": [float("inf")]}}, "health.power_w[0]"),
            ({"health": {"ts_ms": [1_700_000_000_000], "temperature_c": [float("nan")]}}, "health.temperature_c[0]"),
            ({"health": {"ts_ms": [1, 2], "cpu_ratio": [0.5]}}, "health.cpu_ratio"),
            ({"health": {"ts_ms": []}}, "health.ts_ms"),
            ({"health": {"ts_ms": ["yesterday"]}}, "health.ts_ms[0]"),
            ({"windows": [{"ts_ms": 1, "window_s": 1, "model": "m"}]}, "windows[0]"),
        ],
    )
    async def test_a_broken_batch_names_the_field_and_nothing_is_stored(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows, change: dict[str, Any], field: str
    ) -> None:
        body = msgspec.msgpack.encode({"stream": 2, "sequence": 1} | change)
        answer = await _post(door, sender, body)
        assert answer.status_code == 400
        assert answer.json()["code"] == "telemetry.invalid_batch"
        assert field in answer.json()["fields"]
        assert await _query(rows, "SELECT count(*) FROM telemetry_devicelatest") == [(0,)]

    @pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93", b"not msgpack at all", b"\xdd\xff\xff\xff\xff"])
    async def test_bytes_that_are_no_message_are_a_clear_400(
        self, door: httpx.AsyncClient, sender: Sender, body: bytes
    ) -> None:
        answer = await _post(door, sender, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "telemetry.invalid_batch")

    async def test_an_unknown_content_type_is_415(self, door: httpx.AsyncClient, sender: Sender) -> None:
        answer = await _post(door, sender, sender.body(), **{"Content-Type": "text/plain"})
        assert answer.status_code == 415

    async def test_an_oversized_body_is_413_whether_announced_or_streamed(
        self, door: httpx.AsyncClient, sender: Sender
    ) -> None:
        assert (await _post(door, sender, b"x" * (MAX_TELEMETRY_BYTES + 1))).status_code == 413
        read = 0

        async def endless() -> Any:
            nonlocal read
            while True:
                read += 65_536
                yield b"x" * 65_536

        answer = await door.post(sender.path, content=endless(), headers=sender.headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "telemetry.batch_too_large")
        assert read <= MAX_TELEMETRY_BYTES + 3 * 65_536

    async def test_another_tenants_or_devices_path_is_401(
        self, door: httpx.AsyncClient, sender: Sender, other_organization: Organization, rows: Rows
    ) -> None:
        neighbour = await sync_to_async(sender_make)(other_organization)
        body = sender.body()
        for path in (
            neighbour.path,
            sender.path.replace(sender.tenant, neighbour.tenant),
            sender.path.replace(sender.device.controller_id, neighbour.device.controller_id),
        ):
            answer = await door.post(path, content=body, headers=sender.headers)
            assert answer.status_code == 401
        answer = await door.post(sender.path, content=body, headers={"Content-Type": "application/msgpack"})
        assert answer.status_code == 401
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(0,)]

    async def test_a_device_that_is_gone_is_404_and_its_group_is_stored(
        self, door: httpx.AsyncClient, sender: Sender, organization: Organization, rows: Rows
    ) -> None:
        gone = await sync_to_async(sender_make)(organization)
        await sync_to_async(gone.device.delete)()
        answers = await asyncio.gather(_post(door, gone, gone.body()), _post(door, sender, sender.body()))
        assert [answer.status_code for answer in answers] == [404, 200]
        assert answers[0].json()["code"] == "telemetry.unknown_device"
        assert await _query(rows, "SELECT device_id FROM telemetry_healthsample") == [(sender.device.pk,)]


class TestGroups:
    async def test_a_batch_the_database_refuses_does_not_fail_its_group(
        self, door: httpx.AsyncClient, sender: Sender, organization: Organization, rows: Rows
    ) -> None:
        others = [await sync_to_async(sender_make)(organization) for _ in range(6)]
        # PostgreSQL keeps no NUL in text; the protocol's types allow it.
        poison = sender.body(stream=1, windows=[window_make(model="dig\x00its")])
        answers = await asyncio.gather(
            *(_post(door, other, other.body()) for other in others[:3]),
            _post(door, sender, poison),
            *(_post(door, other, other.body()) for other in others[3:]),
        )
        assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 200, 200, 200]
        assert answers[3].json()["code"] == "telemetry.unstorable_batch"
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(6,)]

    async def test_a_full_queue_answers_503_with_a_time_and_loses_nothing_it_acknowledged(
        self, committed: None, organization: Organization, rows: Rows
    ) -> None:
        senders = [await sync_to_async(sender_make)(organization) for _ in range(40)]
        writer = ingest.IngestWriter(queue_batches=10)
        results = await asyncio.gather(
            *(
                writer.submit(
                    device_id=sender.device.pk, organization_id=organization.pk, batch=sender.batch(), size_bytes=100
                )
                for sender in senders
            ),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, ingest.IngestOverloadedError)]
        assert [result for result in results if result is not None] == refused
        assert len(refused) == 30
        assert refused[0].status == 503
        assert refused[0].retry_after_s >= 1
        await writer.close()
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(10,)]

    async def test_the_queue_is_bounded_in_bytes_too(self, committed: None, organization: Organization) -> None:
        senders = [await sync_to_async(sender_make)(organization) for _ in range(3)]
        writer = ingest.IngestWriter(queue_bytes=1_000)
        results = await asyncio.gather(
            *(
                writer.submit(
                    device_id=sender.device.pk, organization_id=organization.pk, batch=sender.batch(), size_bytes=600
                )
                for sender in senders
            ),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [
            type(None),
            ingest.IngestOverloadedError,
            ingest.IngestOverloadedError,
        ]
        await writer.close()

    async def test_a_lost_connection_is_opened_again_and_the_group_is_stored_once(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows
    ) -> None:
        await _post(door, sender, sender.body())
        await _query(
            rows,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'flotilla-ingest' AND datname = current_database()",
        )
        assert (await _post(door, sender, sender.body())).status_code == 200
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(2,)]

    async def test_closing_commits_what_waits(self, committed: None, organization: Organization, rows: Rows) -> None:
        senders = [await sync_to_async(sender_make)(organization) for _ in range(5)]
        writer = ingest.IngestWriter(group_batches=2)
        waiting = [
            asyncio.ensure_future(
                writer.submit(
                    device_id=sender.device.pk, organization_id=organization.pk, batch=sender.batch(), size_bytes=1
                )
            )
            for sender in senders
        ]
        await asyncio.sleep(0)
        await writer.close()
        await asyncio.gather(*waiting)
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(5,)]
        with pytest.raises(ingest.IngestUnavailableError):
            await writer.submit(
                device_id=senders[0].device.pk, organization_id=organization.pk, batch=senders[0].batch(), size_bytes=1
            )


class TestClocks:
    async def test_a_clock_that_is_ahead_is_moved_back_with_its_spacing_kept(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows
    ) -> None:
        ahead = now_ms() + 3_600_000 * 24 * 365
        answer = await _post(door, sender, sender.body(health=health_make(3, at_ms=ahead)))
        assert answer.status_code == 200
        [(count, spread, newest)] = await _query(
            rows,
            "SELECT count(*), extract(epoch FROM max(ts) - min(ts)), extract(epoch FROM now() - max(ts)) "
            "FROM telemetry_healthsample",
        )
        assert (count, spread) == (3, 2)
        assert 0 <= newest < 10

    async def test_rows_older_than_the_series_reach_are_left_out_and_the_batch_is_acknowledged(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows
    ) -> None:
        health = health_make(2)
        health.ts_ms[0] = 86_400_000  # 1970-01-02
        window = window_make(at_ms=1)
        answer = await _post(door, sender, sender.body(health=health, windows=[window]))
        assert answer.status_code == 200
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(1,)]
        assert await _query(rows, "SELECT count(*) FROM telemetry_inferencewindow") == [(0,)]
        latest = await _latest(sender)
        assert (latest.window, latest.sequence_2) == (None, 1)

    async def test_a_missing_partition_is_made_on_the_way(
        self, door: httpx.AsyncClient, sender: Sender, rows: Rows
    ) -> None:
        partitions = await _query(
            rows,
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'telemetry_healthsample'::regclass",
        )
        for (name,) in partitions:
            await sync_to_async(_drop)(name)
        assert (await _post(door, sender, sender.body())).status_code == 200
        assert await _query(rows, "SELECT count(*) FROM telemetry_healthsample") == [(1,)]


def _drop(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {table}")
