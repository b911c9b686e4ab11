"""Which batches of a group are new: each (device, stream, sequence) once, in order; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Sequenced(Protocol):
    """What the decision needs to know of a batch."""

    @property
    def device_id(self) -> int:
        """The device's number."""

    @property
    def organization_id(self) -> int:
        """The organization its token names."""

    @property
    def stream(self) -> int:
        """0 to 3."""

    @property
    def sequence(self) -> int:
        """The batch's number in its stream, from 1."""


B = TypeVar("B", bound=Sequenced)


@dataclass
class StreamsOfDevice:
    """The last committed sequence of each stream, and whose the device is."""

    organization_id: int
    public_id: str
    sequences: list[int]


@dataclass
class GroupPlan(Generic[B]):
    """``new`` is sorted by device, stream and sequence; ``sequences`` are the new last ones of its devices."""

    new: list[B] = field(default_factory=list)
    known: list[B] = field(default_factory=list)
    unknown: list[B] = field(default_factory=list)
    sequences: dict[int, list[int]] = field(default_factory=dict)


def group_plan(batches: Iterable[B], streams: Mapping[int, StreamsOfDevice]) -> GroupPlan[B]:
    """Sort a group's batches into new ones, known ones and those of unknown devices.

    Known is what is not above the last committed sequence: it is acknowledged and not stored again.

    Batches of one stream that travelled over two connections may arrive in any order within a group, hence the sorting:
    the higher one must not make the lower one look like a repetition.

    Args:
        batches: the group, in order of arrival.
        streams: what is committed, by device number.
    """
    plan: GroupPlan[B] = GroupPlan()
    for batch in sorted(batches, key=lambda one: (one.device_id, one.stream, one.sequence)):
        device = streams.get(batch.device_id)
        if device is None or device.organization_id != batch.organization_id:
            plan.unknown.append(batch)
            continue
        sequences = plan.sequences.get(batch.device_id, device.sequences)
        if batch.sequence <= sequences[batch.stream]:
            plan.known.append(batch)
            continue
        plan.new.append(batch)
        plan.sequences[batch.device_id] = [
            batch.sequence if stream == batch.stream else sequence for stream, sequence in enumerate(sequences)
        ]
    return plan
