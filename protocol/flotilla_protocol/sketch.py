"""Histogram sketches: mergeable summaries of a distribution on edges fixed by the reference profile.

``x`` falls in bin ``i`` when ``edges[i] <= x < edges[i + 1]``; the last bin includes its upper edge. Values
outside count in ``below`` and ``above`` and in no bin; NaN counts as missing. Counters add, so merging over
devices, time and segments is exact and order-free. Sums per bin are kept because mean values from bin
mid-points are wrong by almost 2x in heavy tails (Wasserstein distance from per-bin means is not).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import ArrayLike, NDArray

from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.limits import MAX_BINS, Count, Finite, Text

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class HistogramSketch(msgspec.Struct, frozen=True):
    """Counts and sums of one feature in one window; bins are those of the version's reference profile."""

    feature: Text
    counts: Annotated[list[Count], Meta(min_length=1, max_length=MAX_BINS)]
    sums: Annotated[list[Finite], Meta(min_length=1, max_length=MAX_BINS)]
    missing: Count = 0
    below: Count = 0
    above: Count = 0

    @property
    def total(self) -> int:
        """All values seen, with missing and outside ones."""
        return sum(self.counts) + self.missing + self.below + self.above


class SketchBuilder:
    """Accumulates one feature on given edges.

    Args:
        feature: the feature's name.
        edges: ``[B + 1]``, finite, not decreasing. Equal neighbours are allowed (an empty bin): quantiles of
            a reference with ties have them.

    Raises:
        ValueError: the edges break these rules.
    """

    def __init__(self, feature: str, edges: ArrayLike) -> None:
        self.feature = feature
        self.edges: FloatArray = np.asarray(edges, dtype=np.float64)
        if self.edges.ndim != 1 or not 1 <= self.edges.size - 1 <= MAX_BINS:
            raise ValueError(f"{feature}: between 2 and {MAX_BINS + 1} edges are needed.")
        if not np.isfinite(self.edges).all() or (np.diff(self.edges) < 0).any():
            raise ValueError(f"{feature}: edges must be finite and must not decrease.")
        self.clear()

    @property
    def bin_count(self) -> int:
        """Number of bins."""
        return int(self.edges.size - 1)

    def clear(self) -> None:
        """Forget all values."""
        self.counts: IntArray = np.zeros(self.bin_count, dtype=np.int64)
        self.sums: FloatArray = np.zeros(self.bin_count, dtype=np.float64)
        self.missing = self.below = self.above = 0

    def update(self, values: ArrayLike) -> None:
        """Add values, any shape; one vectorised pass."""
        flat: FloatArray = np.asarray(values, dtype=np.float64).ravel()
        inside, outside = self.place(flat)
        self.missing += outside[0]
        self.below += outside[1]
        self.above += outside[2]
        kept = flat[inside >= 0]
        bins = inside[inside >= 0]
        self.counts += np.bincount(bins, minlength=self.bin_count)
        self.sums += np.bincount(bins, weights=kept, minlength=self.bin_count)

    def place(self, flat: FloatArray) -> tuple[IntArray, tuple[int, int, int]]:
        """Bin of each value (-1 for none), and how many are missing, below, above."""
        bins: IntArray = np.searchsorted(self.edges, flat, side="right").astype(np.int64) - 1
        bins[flat == self.edges[-1]] = self.bin_count - 1
        missing, below, above = np.isnan(flat), flat < self.edges[0], flat > self.edges[-1]
        bins[missing | below | above] = -1
        return bins, (int(missing.sum()), int(below.sum()), int(above.sum()))

    def sketch(self) -> HistogramSketch:
        """What was seen since the last ``clear``."""
        return HistogramSketch(
            feature=self.feature,
            counts=self.counts.tolist(),
            sums=self.sums.tolist(),
            missing=self.missing,
            below=self.below,
            above=self.above,
        )


def sketch_merge(sketches: Iterable[HistogramSketch]) -> HistogramSketch:
    """The sum of sketches of one feature on the same edges; associative and order-free.

    Raises:
        ValueError: no sketch, or different features.
        InvalidMessageError: different numbers of bins.
    """
    parts = list(sketches)
    if len({part.feature for part in parts}) != 1:
        raise ValueError("Sketches of exactly one feature can be merged.")
    bins = len(parts[0].counts)
    for index, part in enumerate(parts):
        if len(part.counts) != bins or len(part.sums) != bins:
            raise InvalidMessageError(f"{bins} bins are needed.", field=f"sketches[{index}].counts")
    return HistogramSketch(
        feature=parts[0].feature,
        counts=np.array([part.counts for part in parts], dtype=np.int64).sum(axis=0).tolist(),
        sums=np.array([part.sums for part in parts], dtype=np.float64).sum(axis=0).tolist(),
        missing=sum(part.missing for part in parts),
        below=sum(part.below for part in parts),
        above=sum(part.above for part in parts),
    )
