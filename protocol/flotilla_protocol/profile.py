"""Reference profiles: the training-time distributions a version is judged against.

Sixty bins per feature, their edges quantiles of the reference, so that six neighbours are a decile: drift is
measured on ten groups, merging stays exact.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.features import input_features, output_features
from flotilla_protocol.limits import MAX_BINS, MAX_SKETCHES, PROFILE_BINS, Count, Finite, Text
from flotilla_protocol.sketch import SketchBuilder

FloatArray = NDArray[np.float64]
FeatureKind = Literal["input", "output"]


class FeatureProfile(msgspec.Struct, frozen=True):
    """The reference distribution of one feature. ``row_count`` is all rows, missing ones included."""

    name: Text
    kind: FeatureKind
    edges: Annotated[list[Finite], Meta(min_length=2, max_length=MAX_BINS + 1)]
    counts: Annotated[list[Count], Meta(min_length=1, max_length=MAX_BINS)]
    sums: Annotated[list[Finite], Meta(min_length=1, max_length=MAX_BINS)]
    below: Count
    above: Count
    missing: Count
    row_count: Count

    def builder(self) -> SketchBuilder:
        """An empty sketch on this feature's edges."""
        return SketchBuilder(self.name, self.edges)


class ReferenceProfile(msgspec.Struct, frozen=True):
    """All features of one version's reference."""

    features: Annotated[list[FeatureProfile], Meta(max_length=MAX_SKETCHES)]

    def feature(self, name: str) -> FeatureProfile | None:
        """The feature of that name."""
        return next((feature for feature in self.features if feature.name == name), None)


def quantile_edges(values: FloatArray, bins: int = PROFILE_BINS) -> FloatArray:
    """``bins + 1`` edges at the quantiles of the finite values; equal steps of 0 to 1 if there are none.

    A constant reference gives equal edges: every other value is then outside, as it should be.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.linspace(0.0, 1.0, bins + 1)
    edges: FloatArray = np.quantile(finite, np.linspace(0.0, 1.0, bins + 1))
    # Interpolation may round a quantile just below its left neighbour.
    return np.maximum.accumulate(edges)


def feature_profile(
    name: str, kind: FeatureKind, values: FloatArray, edges: FloatArray | None = None
) -> FeatureProfile:
    """Profile of one feature.

    Args:
        name: the feature's name.
        kind: whether it describes inputs or outputs.
        values: float64 ``[N]``; NaN counts as missing.
        edges: ``[B + 1]``; by default 61 quantiles of ``values``.
    """
    chosen = quantile_edges(values) if edges is None else edges
    builder = SketchBuilder(name, chosen)
    builder.update(values)
    sketch = builder.sketch()
    return FeatureProfile(
        name=name,
        kind=kind,
        edges=builder.edges.tolist(),
        counts=sketch.counts,
        sums=sketch.sums,
        below=sketch.below,
        above=sketch.above,
        missing=sketch.missing,
        row_count=int(values.size),
    )


def class_edges(class_count: int) -> FloatArray:
    """Edges -0.5, 0.5, ... of the feature ``class``: one bin per class."""
    return np.arange(class_count + 1, dtype=np.float64) - 0.5


def reference_profile(
    inputs: NDArray[np.generic], class_probabilities: NDArray[np.generic] | None = None
) -> ReferenceProfile:
    """Cut a reference profile from reference data.

    Args:
        inputs: ``[N, ...]`` in the model's own input scale, N at least 1.
        class_probabilities: ``[N, K]`` of a classifier, K at most ``MAX_BINS``; None for models of another
            kind, which are watched by their inputs alone.
    """
    features = [feature_profile(name, "input", values) for name, values in input_features(inputs).items()]
    if class_probabilities is not None:
        edges = class_edges(class_probabilities.shape[1])
        features += [
            feature_profile(name, "output", values, edges if name == "class" else None)
            for name, values in output_features(class_probabilities).items()
        ]
    return ReferenceProfile(features=features)


def profile_check(profile: ReferenceProfile) -> None:
    """Refuse a decoded profile whose lists do not belong together.

    Raises:
        InvalidMessageError: naming the feature by index.
    """
    for index, feature in enumerate(profile.features):
        place = f"features[{index}]"
        if len(feature.counts) != len(feature.edges) - 1 or len(feature.sums) != len(feature.counts):
            raise InvalidMessageError("one count and one sum per bin are needed.", field=f"{place}.counts")
        try:
            feature.builder()
        except ValueError as error:
            raise InvalidMessageError(str(error), field=f"{place}.edges") from error
