"""The live bus: its contract, the sender's coalescing, the hub's fan-out and gaps."""

from __future__ import annotations

import asyncio
import queue
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from django.db import connection, transaction

from common import live
from common.bus import Bus, BusDownError, Inlet, Outlet, PostgresBus
from common.live_hub import Change, Frame, Hub, Subscription

DEADLINE_S = 10.0


class MemoryBus:
    """A bus within one process that can be cut, refused and slowed by a test.

    ``cut()`` breaks every open link, ``is_refusing`` lets none be opened, and while ``gate`` is cleared a send hangs.
    """

    max_payload_bytes = 2_000

    def __init__(self) -> None:
        self.inlets: list[_MemoryInlet] = []
        self.is_refusing = False
        self.sent: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.generation = 0

    def cut(self) -> None:
        self.generation += 1

    def outlet(self) -> Outlet:
        if self.is_refusing:
            raise BusDownError("refused")
        return _MemoryOutlet(self)

    def inlet(self) -> Inlet:
        if self.is_refusing:
            raise BusDownError("refused")
        inlet = _MemoryInlet(self)
        self.inlets.append(inlet)
        return inlet


class _MemoryOutlet:
    def __init__(self, bus: MemoryBus) -> None:
        self.bus, self.generation = bus, bus.generation

    def send(self, payloads: Sequence[str]) -> None:
        self.bus.gate.wait(DEADLINE_S)
        if self.generation != self.bus.generation or self.bus.is_refusing:
            raise BusDownError("cut")
        self.bus.sent += payloads
        for inlet in self.bus.inlets:
            for payload in payloads:
                inlet.queue.put(payload)

    def close(self) -> None:
        return


class _MemoryInlet:
    def __init__(self, bus: MemoryBus) -> None:
        self.bus, self.generation = bus, bus.generation
        self.queue: queue.Queue[str] = queue.Queue()

    def receive(self, timeout_s: float) -> list[str]:
        try:
            received = [self.queue.get(timeout=min(timeout_s, 0.02))]
        except queue.Empty:
            received = []
        if self.generation != self.bus.generation:
            raise BusDownError("cut")
        return received

    def close(self) -> None:
        self.bus.inlets.remove(self)


def _bus_of(kind: str, request: pytest.FixtureRequest) -> Bus:
    if kind == "postgres":
        request.getfixturevalue("django_db_setup")
        return PostgresBus()
    return MemoryBus()


@pytest.fixture(params=["postgres", "memory"])
def bus(request: pytest.FixtureRequest) -> Bus:
    return _bus_of(request.param, request)


class TestEveryBus:
    def test_what_one_outlet_sends_every_inlet_receives_in_order(self, bus: Bus) -> None:
        outlet, inlets = bus.outlet(), [bus.inlet(), bus.inlet()]
        sent = [f"message {number} é" for number in range(200)]
        outlet.send(sent[:150])
        outlet.send(sent[150:])
        for inlet in inlets:
            received: list[str] = []
            while len(received) < len(sent):
                batch = inlet.receive(DEADLINE_S)
                assert batch, f"only {len(received)} of {len(sent)} arrived"
                received += batch
            assert received == sent
            inlet.close()
        outlet.close()

    def test_a_payload_of_the_largest_size_arrives_whole(self, bus: Bus) -> None:
        outlet, inlet = bus.outlet(), bus.inlet()
        outlet.send(["x" * bus.max_payload_bytes])
        assert inlet.receive(DEADLINE_S) == ["x" * bus.max_payload_bytes]
        inlet.close()
        outlet.close()

    def test_silence_is_an_empty_answer(self, bus: Bus) -> None:
        inlet = bus.inlet()
        assert inlet.receive(0.01) == []
        inlet.close()

    def test_what_was_sent_before_an_inlet_opened_is_gone(self, bus: Bus) -> None:
        outlet = bus.outlet()
        outlet.send(["early"])
        inlet = bus.inlet()
        outlet.send(["late"])
        assert inlet.receive(DEADLINE_S) == ["late"]
        inlet.close()
        outlet.close()


@pytest.mark.usefixtures("django_db_setup")
def test_a_broken_database_connection_is_a_bus_that_is_down() -> None:
    outlet, inlet = PostgresBus().outlet(), PostgresBus().inlet()
    outlet._connection.execute(  # type: ignore[attr-defined]
        "select pg_terminate_backend(%s)",
        (inlet._connection.info.backend_pid,),  # type: ignore[attr-defined]
    )
    with pytest.raises(BusDownError):
        inlet.receive(DEADLINE_S)
    inlet.close()
    outlet.close()


@pytest.fixture
def memory() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def hub(memory: MemoryBus) -> Iterator[Hub]:
    made = Hub(memory)
    yield made
    made.close()


@pytest.fixture
def sender(memory: MemoryBus) -> Iterator[live.Sender]:
    made = live.Sender(memory)
    yield made
    memory.gate.set()
    made.stop(flush_s=0.1)


def _change(id_: str = "d1", topic: str = "devices", organization_id: int = 1, **data: Any) -> Change:
    return Change(organization_id=organization_id, topic=topic, kind="device.changed", id=id_, data=data)


async def _next(subscription: Subscription) -> Frame:
    return await asyncio.wait_for(anext(subscription), DEADLINE_S)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - the condition is another thread's
            await asyncio.sleep(0.002)


class TestSender:
    def test_the_newest_value_of_a_thing_replaces_an_unsent_one(self, memory: MemoryBus, sender: live.Sender) -> None:
        memory.gate.clear()  # the first send hangs, so the rest piles up behind it
        sender.change(_change("first"))
        for number in range(100):
            sender.change(_change("d1", number=number))
        memory.gate.set()
        assert sender.flush(DEADLINE_S)
        assert "".join(memory.sent).count('"d1"') <= 2
        assert '"number":99' in memory.sent[-1]

    def test_notices_are_never_replaced(self, memory: MemoryBus, sender: live.Sender) -> None:
        for number in range(300):
            sender.notice("revisions", {"device": number})
        assert sender.flush(DEADLINE_S)
        text = "".join(memory.sent)
        assert [f'"device":{number}}}' in text for number in range(300)] == [True] * 300
        assert max(len(payload.encode()) for payload in memory.sent) <= memory.max_payload_bytes

    def test_data_that_does_not_fit_is_left_out_and_the_id_still_travels(
        self, memory: MemoryBus, sender: live.Sender
    ) -> None:
        sender.change(_change("d1", text="x" * 10_000))
        assert sender.flush(DEADLINE_S)
        assert memory.sent == ['[["live",[1,"devices","device.changed","d1",{}]]]']

    def test_a_notice_that_does_not_fit_is_the_callers_mistake(self, sender: live.Sender) -> None:
        with pytest.raises(ValueError, match="send ids"):
            sender.notice("revisions", "x" * 10_000)

    def test_what_queued_while_the_bus_was_away_is_sent_when_it_is_back(
        self, memory: MemoryBus, sender: live.Sender
    ) -> None:
        sender.notice("revisions", 1)
        assert sender.flush(DEADLINE_S)
        memory.cut()
        sender.notice("revisions", 2)
        sender.notice("revisions", 3)
        assert sender.flush(DEADLINE_S)
        assert "".join(memory.sent).replace("][", ",") == '[["revisions",1],["revisions",2],["revisions",3]]'

    def test_a_full_queue_tells_everybody_of_a_gap(
        self, memory: MemoryBus, sender: live.Sender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "_PENDING_MAX", 10)
        memory.gate.clear()
        for number in range(30):
            sender.notice("revisions", number)
        memory.gate.set()
        assert sender.flush(DEADLINE_S)
        sender.notice("revisions", "after")
        assert sender.flush(DEADLINE_S)
        assert '["gap",null]' in "".join(memory.sent)


class TestHub:
    async def test_a_reader_gets_its_own_organizations_topics_and_no_other(self, hub: Hub, sender: live.Sender) -> None:
        async with hub.subscription(1, ["devices"]) as reader:
            sender.change(_change("other organization", organization_id=2))
            sender.change(_change("other topic", topic="rollouts"))
            sender.change(_change("mine"))
            frame = await _next(reader)
        assert [change.id for change in frame.changes] == ["mine"]
        assert not frame.is_gap

    async def test_the_newest_value_per_thing_wins_within_a_frame(self, hub: Hub, sender: live.Sender) -> None:
        async with hub.subscription(1, ["devices"]) as reader:
            for number in range(50):
                sender.change(_change("d1", number=number))
                sender.change(_change("d2", number=number))
            sender.flush(DEADLINE_S)
            seen: dict[str, int] = {}
            frames = 0
            while seen != {"d1": 49, "d2": 49}:
                frame = await _next(reader)
                frames += 1
                assert len({change.id for change in frame.changes}) == len(frame.changes)
                seen |= {change.id: change.data["number"] for change in frame.changes}
        assert frames <= 10

    async def test_frames_come_at_most_twenty_times_a_second(self, hub: Hub, sender: live.Sender) -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        async with hub.subscription(1, ["devices"]) as reader:
            for number in range(5):
                sender.change(_change("d1", number=number))
                await _next(reader)
                times.append(loop.time())
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert min(gaps) >= 0.049

    async def test_topics_can_be_added_and_dropped_while_reading(self, hub: Hub, sender: live.Sender) -> None:
        async with hub.subscription(1) as reader:
            reader.add(["devices", "rollouts"])
            reader.discard(["rollouts"])
            sender.change(_change("r1", topic="rollouts"))
            sender.change(_change("d1"))
            assert [change.id for change in (await _next(reader)).changes] == ["d1"]

    async def test_a_stalled_reader_gets_a_gap_and_does_not_hold_up_the_others(
        self, hub: Hub, sender: live.Sender
    ) -> None:
        async with hub.subscription(1, ["devices"]) as stalled, hub.subscription(1, ["devices"]) as brisk:
            seen: set[str] = set()
            for start in range(0, 3_000, 500):  # three times what a reader may leave unread
                for number in range(start, start + 500):
                    sender.change(_change(f"d{number}"))
                while len(seen) < start + 500:
                    frame = await _next(brisk)
                    assert not frame.is_gap
                    seen |= {change.id for change in frame.changes}
            frame = await _next(stalled)
        assert frame.is_gap
        assert len(frame.changes) <= 1_000

    async def test_a_lost_connection_is_told_as_a_gap_and_the_stream_goes_on(
        self, hub: Hub, sender: live.Sender, memory: MemoryBus
    ) -> None:
        async with hub.subscription(1, ["devices"]) as reader:
            memory.cut()
            assert (await _next(reader)).is_gap
            sender.change(_change("after"))
            assert [change.id for change in (await _next(reader)).changes] == ["after"]

    async def test_a_listener_hears_its_channel_and_learns_of_gaps(
        self, hub: Hub, sender: live.Sender, memory: MemoryBus
    ) -> None:
        heard: list[Any] = []
        gaps: list[int] = []
        listener = hub.listen("revisions", heard.append, on_gap=lambda: gaps.append(1))
        await _until(lambda: len(gaps) == 1)  # nothing before the first connection was heard
        sender.notice("revocations", "not mine")
        sender.notice("revisions", {"device": 7})
        await _until(lambda: heard == [{"device": 7}])
        memory.cut()
        await _until(lambda: len(gaps) == 2)
        listener.close()
        sender.notice("revisions", {"device": 8})
        another: list[Any] = []
        hub.listen("revisions", another.append)
        sender.notice("revisions", {"device": 9})
        await _until(lambda: {"device": 9} in another)
        assert heard == [{"device": 7}]

    async def test_a_failing_callback_does_not_deafen_the_process(
        self, hub: Hub, sender: live.Sender, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_payload: Any) -> None:
            raise RuntimeError("broken listener")

        heard: list[Any] = []
        hub.listen("revisions", broken)
        hub.listen("revisions", heard.append)
        await asyncio.to_thread(hub.wait_ready, DEADLINE_S)
        sender.notice("revisions", 1)
        sender.notice("revisions", 2)
        await _until(lambda: heard == [1, 2])
        assert "live callback failed" in caplog.text

    async def test_a_message_nobody_understands_is_skipped(
        self, hub: Hub, memory: MemoryBus, caplog: pytest.LogCaptureFixture
    ) -> None:
        after = msgspec.json.encode(_change("after")).decode()
        with caplog.at_level("WARNING", logger="common.live_hub"):
            async with hub.subscription(1, ["devices"]) as reader:
                memory.outlet().send(["not json", '{"a": 1}', f'[["live", {{"topic": 1}}], ["live", {after}]]'])
                frame = await _next(reader)
        assert [change.id for change in frame.changes] == ["after"], "what came with it is not lost"
        assert [record.message for record in caplog.records] == ["live messages not understood: 1"], "said once"

    async def test_a_reader_enters_although_the_bus_is_away_and_gets_a_gap_when_it_is_back(
        self, hub: Hub, memory: MemoryBus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory.is_refusing = True
        monkeypatch.setattr("common.live_hub.ENTER_S", 0.05)
        async with hub.subscription(1, ["devices"]) as reader:
            memory.is_refusing = False
            assert (await _next(reader)).is_gap


class TestThisProcess:
    @pytest.fixture(autouse=True)
    def _database(self, django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
        with django_db_blocker.unblock():
            yield
        live.shutdown()

    async def test_a_change_travels_from_publish_to_a_browser(self) -> None:
        organization_id = 10_001
        async with live.hub.subscription(organization_id, ["devices"]) as reader:
            device = uuid.uuid4()
            live.publish(
                organization_id=organization_id,
                topic="devices",
                kind="device.changed",
                id=device,
                data={"state": "accepted"},
            )
            frame = await _next(reader)
        assert [(change.id, change.data) for change in frame.changes] == [(str(device), {"state": "accepted"})]

    async def test_nothing_is_told_of_a_transaction_that_rolled_back(self) -> None:
        def work() -> None:
            with transaction.atomic():
                live.publish(organization_id=10_002, topic="devices", kind="device.changed", id="undone")
                transaction.set_rollback(True)
            with transaction.atomic():
                live.publish(organization_id=10_002, topic="devices", kind="device.changed", id="done")
                assert live.flush(DEADLINE_S)  # nothing has been queued yet
            connection.close()

        async with live.hub.subscription(10_002, ["devices"]) as reader:
            await asyncio.to_thread(work)
            frame = await _next(reader)
        assert [change.id for change in frame.changes] == ["done"]

    async def test_a_notice_reaches_the_listeners_of_this_process_too(self) -> None:
        heard: list[Any] = []
        listener = live.hub.listen("test_channel", heard.append)
        await asyncio.to_thread(live.hub.wait_ready, DEADLINE_S)
        live.notify("test_channel", {"token": 1})
        await _until(lambda: heard == [{"token": 1}])
        listener.close()
