"""Which segments are judged, and with whom the small ones are judged together; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from telemetry.policy.drift import MINIMUM_ROWS, Counts
from telemetry.policy.sketches import StoredSketch


@dataclass(frozen=True)
class Segment:
    """``region_id`` None: the pool of regions too small to be judged alone; ``hardware_profile_id`` None: all."""

    region_id: int | None
    hardware_profile_id: int | None


@dataclass
class FeatureCounts:
    """Running counts of one feature in one segment; adding is exact and order-free."""

    bins: NDArray[np.int64]
    sums: NDArray[np.float64]
    missing: int = 0
    below: int = 0
    above: int = 0
    device_ids: set[int] = field(default_factory=set)

    @classmethod
    def empty(cls, bin_count: int) -> FeatureCounts:
        """Nothing seen yet."""
        return cls(bins=np.zeros(bin_count, dtype=np.int64), sums=np.zeros(bin_count))

    def add(self, device_id: int, sketch: StoredSketch) -> bool:
        """Add one window's sketch; False when it has other bins than the reference."""
        if sketch.counts.size != self.bins.size:
            return False
        self.bins += sketch.counts
        self.sums += sketch.sums
        self.missing += sketch.missing
        self.below += sketch.below
        self.above += sketch.above
        self.device_ids.add(device_id)
        return True

    def merge(self, other: FeatureCounts) -> None:
        """Add another segment's counts."""
        self.bins = self.bins + other.bins
        self.sums = self.sums + other.sums
        self.missing += other.missing
        self.below += other.below
        self.above += other.above
        self.device_ids |= other.device_ids

    @property
    def row_count(self) -> int:
        """Values seen, missing ones included."""
        return int(self.bins.sum()) + self.missing + self.below + self.above


def segments_with_parents(leaves: Mapping[Segment, FeatureCounts]) -> dict[Segment, FeatureCounts]:
    """The segments to judge for one feature.

    From the leaves (region and hardware profile): every region as a whole, its profiles where it has more than one, and
    the pool of all regions that lack rows on their own together with devices that have no region, where that pool is
    more than one region.

    Args:
        leaves: counts by region and hardware profile; a region of None is devices without one.
    """
    regions: dict[int | None, FeatureCounts] = {}
    profiles: dict[int | None, list[Segment]] = {}
    for leaf, counts in leaves.items():
        whole = regions.setdefault(leaf.region_id, FeatureCounts.empty(counts.bins.size))
        whole.merge(counts)
        profiles.setdefault(leaf.region_id, []).append(leaf)
    judged: dict[Segment, FeatureCounts] = {}
    pool: list[FeatureCounts] = []
    for region_id, whole in regions.items():
        if region_id is None or whole.row_count < MINIMUM_ROWS:
            pool.append(whole)
        if region_id is None:
            continue
        judged[Segment(region_id, None)] = whole
        if len(profiles[region_id]) > 1:
            judged |= {leaf: leaves[leaf] for leaf in profiles[region_id]}
    if len(pool) > 1 or None in regions:
        together = FeatureCounts.empty(pool[0].bins.size)
        for counts in pool:
            together.merge(counts)
        judged[Segment(None, None)] = together
    return judged


def counts_of(segments: list[FeatureCounts]) -> Counts:
    """The segments' counts as arrays with one row per segment."""
    return Counts(
        bins=np.stack([one.bins for one in segments]),
        sums=np.stack([one.sums for one in segments]),
        missing=np.array([one.missing for one in segments], dtype=np.int64),
        below=np.array([one.below for one in segments], dtype=np.int64),
        above=np.array([one.above for one in segments], dtype=np.int64),
    )
