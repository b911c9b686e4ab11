"""Plausible vital signs of a simulated machine: slow random walks. The only invented values of the
simulator.
"""

from __future__ import annotations

import numpy as np

from flotilla_protocol.messages import Health

STEP = 0.04  # of a walk, as a share of its range


class Vitals:
    """One device's walks."""

    def __init__(self, rng: np.random.Generator, started_ms: int) -> None:
        self._rng = rng
        self._started_ms = started_ms - int(rng.integers(3_600_000, 30 * 86_400_000))
        # name -> [value, low, high]
        self._walks = {
            "cpu_ratio": [float(rng.uniform(0.15, 0.45)), 0.05, 0.85],
            "memory_used_ratio": [float(rng.uniform(0.3, 0.6)), 0.25, 0.8],
            "storage_used_ratio": [float(rng.uniform(0.2, 0.5)), 0.2, 0.7],
            "temperature_c": [float(rng.uniform(42, 55)), 38.0, 72.0],
            "network_rx_bytes_s": [float(rng.uniform(1e3, 2e4)), 5e2, 6e4],
            "network_tx_bytes_s": [float(rng.uniform(1e3, 2e4)), 5e2, 6e4],
            "power_w": [float(rng.uniform(4, 9)), 3.0, 14.0],
        }

    def sample(self, ts_ms: int, clock_offset_s: float) -> Health:
        """The next sample."""
        values: dict[str, list[float | None]] = {}
        steps = self._rng.normal(0.0, STEP, len(self._walks))
        for (name, walk), step in zip(self._walks.items(), steps.tolist(), strict=True):
            walk[0] = min(max(walk[0] + step * (walk[2] - walk[1]), walk[1]), walk[2])
            values[name] = [walk[0]]
        return Health(
            ts_ms=[ts_ms],
            uptime_s=[(ts_ms - self._started_ms) / 1000],
            clock_offset_s=[clock_offset_s],
            **values,
        )
