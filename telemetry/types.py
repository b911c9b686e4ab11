"""Plain values of telemetry that cross app borders."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from telemetry.models import DriftVerdict

FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]
TextColumn = NDArray[np.str_]


@dataclass(frozen=True)
class InferenceWindows:
    """Inference windows by column, sorted by device and time; all columns have the same length.

    Attributes:
        device_id: device numbers.
        ts_s: end of the window, Unix seconds.
        window_s: its length in seconds.
        model: model name.
        version: version string.
        digest: SHA-256 of the artifact that ran, hex.
        inference_count: inferences in the window.
        error_count: of those, failed.
        latency_ms_mean: milliseconds; NaN where not measured, as in all float columns below.
        latency_ms_p50: milliseconds.
        latency_ms_p95: milliseconds.
        confidence_mean: 0 to 1.
        shadow_count: inputs the previous version answered too.
        shadow_disagreement_count: of those, answered differently.
        shadow_latency_ms_mean: the previous version's, milliseconds.
    """

    device_id: IntColumn
    ts_s: FloatColumn
    window_s: FloatColumn
    model: TextColumn
    version: TextColumn
    digest: TextColumn
    inference_count: IntColumn
    error_count: IntColumn
    latency_ms_mean: FloatColumn
    latency_ms_p50: FloatColumn
    latency_ms_p95: FloatColumn
    confidence_mean: FloatColumn
    shadow_count: IntColumn
    shadow_disagreement_count: IntColumn
    shadow_latency_ms_mean: FloatColumn

    def __len__(self) -> int:
        return int(self.device_id.size)


@dataclass(frozen=True)
class HealthSamples:
    """Health samples by column, sorted by device and time; NaN where not measured."""

    device_id: IntColumn
    ts_s: FloatColumn
    columns: dict[str, FloatColumn]

    def __len__(self) -> int:
        return int(self.device_id.size)


@dataclass(frozen=True)
class InferenceFigures:
    """How a set of devices infers over a span; None where no device reported.

    Attributes:
        device_count: devices that reported.
        inference_rate_s: inferences per second: the sum of the devices' own rates.
        error_ratio: failed inferences of all, 0 to 1.
        latency_ms_p95: the windows' p95 weighted by their inferences, milliseconds.
    """

    device_count: int
    inference_rate_s: float | None
    error_ratio: float | None
    latency_ms_p95: float | None


@dataclass(frozen=True)
class FleetInference:
    """Figures of an organization: all of it, by region, and by ``(region, site)`` (names)."""

    total: InferenceFigures
    by_region: dict[str, InferenceFigures]
    by_site: dict[tuple[str, str], InferenceFigures]


@dataclass(frozen=True)
class DriftCell:
    """One feature of one segment of one version, as scored; fields as in ``telemetry.models.DriftScore``."""

    version_id: int
    version_public_id: UUID
    model: str
    version: str
    region_id: int | None
    hardware_profile_id: int | None
    feature: str
    kind: str
    row_count: int
    device_count: int
    psi: float | None
    psi_excess: float | None
    js_distance: float | None
    ks_distance: float | None
    p_value: float | None
    mean_reference: float | None
    mean_current: float | None
    mean_shift: float | None
    missing_ratio: float | None
    outside_ratio: float | None
    verdict: DriftVerdict
    cause: str
    counts: tuple[int, ...]
