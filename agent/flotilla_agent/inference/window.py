"""One window of one version: counts, latencies, confidence, sketches."""

from __future__ import annotations

import numpy as np

from flotilla_protocol.features import FloatArray
from flotilla_protocol.manifest import Manifest
from flotilla_protocol.messages import InferenceReport


class Window:
    """Accumulates what one version did until it is reported.

    Args:
        manifest: of the version; its profile gives the sketches' edges.
        started_ms: when the window begins, milliseconds since 1970.
    """

    # A source of thousands a second must not fill the memory with latencies: quantiles of so many suffice.
    MAX_LATENCIES = 10_000

    def __init__(self, manifest: Manifest, started_ms: int) -> None:
        self._manifest = manifest
        self._started_ms = started_ms
        self._count = self._errors = 0
        self._latencies: list[float] = []
        self._latency_sum = 0.0
        self._confidence_sum = 0.0
        self._confidence_count = 0
        self._shadow_count = self._shadow_disagreements = 0
        self._shadow_latency_sum = 0.0
        self._builders = {feature.name: feature.builder() for feature in manifest.profile.features}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to report."""
        return self._count == 0 and self._errors == 0

    def error(self) -> None:
        """An input got no answer."""
        self._errors += 1

    def answered(self, latency_ms: FloatArray, confidence: FloatArray | None, features: dict[str, FloatArray]) -> None:
        """Inputs got answers: their latencies, confidences and features, each ``[N]``."""
        self._count += len(latency_ms)
        self._latency_sum += float(latency_ms.sum())
        room = self.MAX_LATENCIES - len(self._latencies)
        self._latencies.extend(latency_ms[:room].tolist())
        if confidence is not None:
            self._confidence_sum += float(confidence.sum())
            self._confidence_count += len(confidence)
        for name, builder in self._builders.items():
            values = features.get(name)
            if values is not None:
                builder.update(values)

    def compared(self, count: int, disagreements: int, latency_ms_sum: float) -> None:
        """Inputs were run through the previous version, too."""
        self._shadow_count += count
        self._shadow_disagreements += disagreements
        self._shadow_latency_sum += latency_ms_sum

    def report(self, ended_ms: int) -> InferenceReport:
        """The window as it is sent."""
        latencies = np.asarray(self._latencies)
        return InferenceReport(
            ts_ms=ended_ms,
            window_s=max(ended_ms - self._started_ms, 0) / 1000,
            model=self._manifest.model,
            version=self._manifest.version,
            digest=self._manifest.digest,
            inference_count=self._count,
            error_count=self._errors,
            latency_ms_mean=self._latency_sum / self._count if self._count else None,
            latency_ms_p50=float(np.quantile(latencies, 0.5)) if self._count else None,
            latency_ms_p95=float(np.quantile(latencies, 0.95)) if self._count else None,
            confidence_mean=(
                min(max(self._confidence_sum / self._confidence_count, 0.0), 1.0) if self._confidence_count else None
            ),
            shadow_count=self._shadow_count,
            shadow_disagreement_count=self._shadow_disagreements,
            shadow_latency_ms_mean=self._shadow_latency_sum / self._shadow_count if self._shadow_count else None,
            sketches=[builder.sketch() for builder in self._builders.values()],
        )
