"""Exactly once, whatever the order and however often a batch comes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.policy.group import StreamsOfDevice, group_plan

DEVICES, STREAMS = 3, 4


@dataclass(frozen=True)
class Batch:
    device_id: int
    organization_id: int
    stream: int
    sequence: int


batches = st.builds(
    Batch,
    device_id=st.integers(1, DEVICES),
    organization_id=st.just(1),
    stream=st.integers(0, STREAMS - 1),
    sequence=st.integers(1, 8),
)


def _run(groups: list[list[Batch]]) -> list[Batch]:
    """What is stored when the groups come one after the other."""
    committed = {number: StreamsOfDevice(1, f"device-{number}", [0] * STREAMS) for number in range(1, DEVICES + 1)}
    stored: list[Batch] = []
    for group in groups:
        plan = group_plan(group, committed)
        assert len(plan.new) + len(plan.known) + len(plan.unknown) == len(group)
        stored += plan.new
        for device_id, sequences in plan.sequences.items():
            assert all(new >= old for new, old in zip(sequences, committed[device_id].sequences, strict=True))
            committed[device_id].sequences = sequences
    return stored


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(batches, max_size=12), max_size=6))
def test_no_batch_is_ever_stored_twice(groups: list[list[Batch]]) -> None:
    stored = _run(groups)
    assert len(set(stored)) == len(stored)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(batches, max_size=12), max_size=6))
def test_within_a_stream_sequences_only_rise(groups: list[list[Batch]]) -> None:
    last: dict[tuple[int, int], int] = {}
    for batch in _run(groups):
        key = (batch.device_id, batch.stream)
        assert batch.sequence > last.get(key, 0)
        last[key] = batch.sequence


@settings(max_examples=100, deadline=None)
@given(data=st.data(), lengths=st.lists(st.integers(0, 6), min_size=STREAMS, max_size=STREAMS))
def test_a_device_that_sends_until_acknowledged_loses_nothing(data: st.DataObject, lengths: list[int]) -> None:
    """In order within a stream, each repeated any number of times, streams interleaved and grouped at random."""
    sent = [
        [Batch(1, 1, stream, sequence)] * data.draw(st.integers(1, 3))
        for stream, length in enumerate(lengths)
        for sequence in range(1, length + 1)
    ]
    groups: list[list[Batch]] = [[]]
    for copies in sent:
        for batch in copies:
            if data.draw(st.booleans()):
                groups.append([])
            groups[-1].append(batch)
    stored = _run(groups)
    assert sorted((one.stream, one.sequence) for one in stored) == sorted(
        {(one.stream, one.sequence) for copies in sent for one in copies}
    )


@settings(max_examples=100, deadline=None)
@given(st.permutations([Batch(1, 1, 2, sequence) for sequence in range(1, 7)]))
def test_within_one_group_the_order_of_arrival_does_not_matter(group: list[Batch]) -> None:
    assert [one.sequence for one in _run([group])] == [1, 2, 3, 4, 5, 6]


def test_a_device_of_another_organization_is_unknown() -> None:
    plan = group_plan([Batch(1, 2, 0, 1)], {1: StreamsOfDevice(1, "device-1", [0] * STREAMS)})
    assert (plan.new, len(plan.unknown), plan.sequences) == ([], 1, {})
