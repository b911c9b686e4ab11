"""Store and forward: nothing acknowledged is lost, nothing is sent twice under two numbers, and the queue is
bounded.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from flotilla_agent.outbox import Outbox
from flotilla_protocol.messages import (
    STREAM_BACKLOG,
    STREAM_HEALTH,
    STREAM_WINDOWS,
    Health,
    InferenceReport,
    telemetry_decode,
)
from tests.agent.conftest import Bench


def health(ts_ms: int = 1) -> Health:
    return Health(ts_ms=[ts_ms], cpu_ratio=[0.5])


def window(ts_ms: int = 1) -> InferenceReport:
    return InferenceReport(ts_ms=ts_ms, window_s=1.0, model="m", version="1", digest="0" * 64, inference_count=1)


def drained(outbox: Outbox) -> list[tuple[int, int]]:
    sent = []
    while (entry := outbox.next()) is not None:
        waiting, content = entry
        batch = telemetry_decode(content)
        assert (batch.stream, batch.sequence) == (waiting.stream, waiting.sequence)
        outbox.acknowledged(waiting.stream, waiting.sequence)
        sent.append((waiting.stream, waiting.sequence))
    return sent


def test_windows_go_before_health_and_each_stream_in_order(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put_health(health())
    outbox.put_windows([window()])
    outbox.put_health(health())
    outbox.put_windows([window()])
    assert drained(outbox) == [(STREAM_WINDOWS, 1), (STREAM_WINDOWS, 2), (STREAM_HEALTH, 1), (STREAM_HEALTH, 2)]


def test_a_batch_is_offered_until_it_is_acknowledged(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put_health(health())
    assert outbox.next() == outbox.next()


def test_a_restart_keeps_what_waits_and_goes_on_counting(tmp_path: Path) -> None:
    first = Outbox(tmp_path)
    first.put_health(health())
    first.put_health(health())
    first.acknowledged(STREAM_HEALTH, 1)
    second = Outbox(tmp_path)
    second.put_health(health())
    assert drained(second) == [(STREAM_HEALTH, 2), (STREAM_HEALTH, 3)]


def test_a_number_is_never_given_twice_even_when_all_was_acknowledged_before_a_restart(tmp_path: Path) -> None:
    first = Outbox(tmp_path)
    first.put_health(health())
    drained(first)
    second = Outbox(tmp_path)
    second.put_health(health())
    assert drained(second) == [(STREAM_HEALTH, 2)]


def test_while_the_uplink_is_down_new_batches_are_backlog(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.is_uplink_down = True
    outbox.put_windows([window()])
    outbox.is_uplink_down = False
    outbox.put_windows([window()])
    assert drained(outbox) == [(STREAM_WINDOWS, 1), (STREAM_BACKLOG, 1)]


def test_a_full_queue_drops_the_oldest_health_first_and_counts_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_files=3)
    outbox.put_windows([window()])
    outbox.put_health(health())
    outbox.put_health(health())
    outbox.put_windows([window()])
    outbox.put_windows([window()])
    assert outbox.dropped == 2
    assert drained(outbox) == [(STREAM_WINDOWS, 1), (STREAM_WINDOWS, 2), (STREAM_WINDOWS, 3)]


def test_when_no_health_is_left_the_oldest_window_goes_but_not_the_one_being_sent(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_files=2)
    outbox.put_windows([window()])
    outbox.put_windows([window()])
    assert outbox.next() is not None
    outbox.put_windows([window()])
    assert outbox.dropped == 1
    assert drained(outbox) == [(STREAM_WINDOWS, 1), (STREAM_WINDOWS, 3)]


def test_the_count_of_dropped_batches_survives_a_restart(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, max_files=1)
    outbox.put_health(health())
    outbox.put_health(health())
    assert Outbox(tmp_path).dropped == 1


def test_a_full_disk_costs_the_batch_and_not_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(tmp_path)

    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flotilla_agent.outbox.write_atomic", full)
    outbox.put_health(health())
    assert (outbox.count, outbox.dropped) == (0, 1)


def test_an_outage_loses_nothing_and_doubles_nothing(bench: Bench) -> None:
    agent = bench.running_agent
    bench.until(lambda: agent.poller.configuration is not None)
    agent.outbox.put_health(health(1))
    bench.plane.lose_answers_of = {"telemetry"}  # committed, and the answer lost
    assert agent.uplink.drain() > 0
    bench.plane.lose_answers_of = set()
    bench.plane.is_down = True
    agent.outbox.put_health(health(2))
    assert agent.uplink.drain() > 0
    bench.plane.is_down = False
    again = bench.start()
    bench.until(lambda: again.poller.configuration is not None)
    again.outbox.put_health(health(3))
    assert again.uplink.drain() == 0
    times = [ts for batch in bench.device.batches if batch.health for ts in batch.health.ts_ms]
    assert sorted(times) == [1, 2, 3]


def test_a_batch_the_control_plane_will_never_take_does_not_block_the_others(bench: Bench) -> None:
    agent = bench.running_agent
    bench.until(lambda: agent.poller.configuration is not None)
    agent.outbox.put_health(health(1))
    next((bench.folder / "outbox" / "2").glob("*.mp")).write_bytes(b"\x81broken")
    agent.outbox.put_health(health(2))
    assert agent.uplink.drain() == 0
    assert agent.outbox.dropped == 1
    assert [batch.health.ts_ms for batch in bench.device.batches if batch.health] == [[2]]


def test_a_busy_control_plane_is_left_alone_for_as_long_as_it_asks(bench: Bench) -> None:
    agent = bench.running_agent
    bench.until(lambda: agent.poller.configuration is not None)
    agent.outbox.put_health(health(1))
    bench.plane.is_down, bench.plane.retry_after_s = True, 42
    assert agent.uplink.drain() >= 42
