"""What can be wrong with a simulated device. Every fault may be set and cleared at any time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from flotilla_agent.inference.perturbation import NONE, Perturbation

Phase = Literal["downloading", "verifying", "installing"]


@dataclass
class Faults:
    """All clear by default."""

    is_offline: bool = False  # the site's network is cut: no request leaves
    download_bytes_s: float | None = None  # a slow line; None is as fast as it goes
    corrupts_download: bool = False  # a byte changes on the way
    truncates_download: bool = False  # the connection ends before the last byte
    fails_self_test: bool = False
    stalls_at: Phase | None = None  # an update stays in this phase until the fault is cleared
    fails_in_probation: bool = False  # the candidate raises errors; the device takes it back by itself
    claims_only: bool = False  # says success and goes on with what it ran
    lies_about_version: str | None = None  # reports name this version instead of the one that runs
    lies_about_digest: str | None = None  # likewise
    drift: Perturbation = field(default=NONE)  # its camera sees a worse picture


class OfflineError(Exception):
    """The device's network is cut."""
