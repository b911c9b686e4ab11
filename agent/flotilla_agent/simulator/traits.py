"""What does not change about a simulated device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """Set when the device is added to its fleet."""

    controller_id: str
    profile: str
    token: str = ""
    name: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    latency_scale: float = 1.0  # how much slower than this machine it infers
    rate_hz: float = 20.0  # inputs its camera gives per second
