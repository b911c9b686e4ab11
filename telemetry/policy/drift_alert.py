"""When a drift alert opens, changes and is resolved, and what it says; pure.

One alert per rule, version and region: a region whose light changed drifts in several features at once, and that is one
thing to look at. It opens with the first evaluation that finds it, and is resolved after three calm ones in a row, so
that a value that swings around its bound is one alert and not ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from telemetry.models import DriftVerdict
from telemetry.types import DriftCell

RESOLVE_AFTER: Final = 3  # calm evaluations
# Calm is well below the threshold, as warn is below alert (0.1 of 0.25).
CALM_SHARE: Final = 0.4
HISTORY_MAX: Final = 100


class Finding(Enum):
    """What an evaluation says about one version in one region."""

    DRIFTS = "drifts"
    UNSETTLED = "unsettled"  # between calm and drift, or too little data: neither opens nor resolves
    CALM = "calm"


@dataclass(frozen=True)
class DriftFinding:
    """A finding with the cell that speaks for it (the worst), and the features that drift, worst first."""

    finding: Finding
    worst: DriftCell | None = None
    features: tuple[str, ...] = ()


def is_drifting(cell: DriftCell, threshold: float) -> bool:
    """Whether the cell is significant and beyond the rule's threshold (PSI excess; rates have bounds of their own)."""
    if cell.cause == "shape":
        return cell.verdict == DriftVerdict.ALERT if cell.feature == "class" else (cell.psi_excess or 0.0) >= threshold
    return cell.verdict == DriftVerdict.ALERT


def drift_finding(cells: Sequence[DriftCell], threshold: float) -> DriftFinding:
    """What the cells of one version in one region say.

    Args:
        cells: all features, the region as a whole and its hardware profiles; at least one.
        threshold: the rule's.
    """
    drifting = sorted((cell for cell in cells if is_drifting(cell, threshold)), key=_badness, reverse=True)
    if drifting:
        features = tuple(dict.fromkeys(cell.feature for cell in drifting))
        return DriftFinding(Finding.DRIFTS, worst=drifting[0], features=features)
    worst = max(cells, key=_badness)
    judged = [cell for cell in cells if cell.verdict != DriftVerdict.NOT_ENOUGH_DATA]
    is_calm = bool(judged) and all(
        cell.verdict == DriftVerdict.QUIET or (cell.psi_excess or 0.0) < CALM_SHARE * threshold for cell in judged
    )
    return DriftFinding(Finding.CALM if is_calm else Finding.UNSETTLED, worst=worst)


def _badness(cell: DriftCell) -> tuple[float, bool]:
    """Larger is worse; among equals the region as a whole speaks before one of its hardware profiles."""
    rate = max(cell.missing_ratio or 0.0, cell.outside_ratio or 0.0) if cell.cause in {"missing", "outside"} else 0.0
    return (max(cell.psi_excess or 0.0, rate), cell.hardware_profile_id is None)


def drift_title(feature: str, cause: str, place: str) -> str:
    """The alert in a few words."""
    name = feature.replace("_", " ").capitalize()
    verb = {"missing": "is missing more often", "outside": "leaves its reference range"}.get(cause, "drifts")
    return f"{name} {verb} in {place}"[:200]


def drift_text(finding: DriftFinding, *, place: str, threshold: float) -> str:
    """What, where, how many, how far, in plain words; the time since when stands beside it on screen."""
    cell = finding.worst
    assert cell is not None
    devices = "1 device" if cell.device_count == 1 else f"{cell.device_count:,} devices"
    subject = f"{cell.model} {cell.version}: {cell.feature.replace('_', ' ')}"
    if cell.cause == "missing":
        told = f"is missing in {_percent(cell.missing_ratio)} of {cell.row_count:,} rows"
    elif cell.cause == "outside":
        told = f"lies outside its reference range in {_percent(cell.outside_ratio)} of {cell.row_count:,} rows"
    elif cell.feature == "class":
        told = (
            "answers are distributed otherwise than in the reference "
            f"(Jensen-Shannon distance {cell.js_distance or 0:.2f}) over {cell.row_count:,} rows"
        )
    else:
        told = (
            f"has moved from its reference, mean {_number(cell.mean_reference)} to {_number(cell.mean_current)}, "
            f"PSI {cell.psi_excess or 0:.2f} above its noise (alert from {threshold:.2f}) over {cell.row_count:,} rows"
        )
    text = f"{subject} {told}, on {devices} in {place}."
    others = [name.replace("_", " ") for name in finding.features[1:]]
    return f"{text} Also: {', '.join(others)}." if others else text


def _percent(ratio: float | None) -> str:
    return f"{(ratio or 0.0) * 100:.1f} %"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def drift_data(
    finding: DriftFinding, *, threshold: float, history: Sequence[dict[str, Any]], at_text: str
) -> dict[str, Any]:
    """The alert's evidence, as in ``docs/api/README.md``."""
    cell = finding.worst
    assert cell is not None
    entry = {"at": at_text, "value": cell.psi_excess}
    return {
        "history": [*history, entry][-HISTORY_MAX:],
        "threshold": threshold,
        "mean_reference": cell.mean_reference,
        "mean_current": cell.mean_current,
        "device_count": cell.device_count,
        "row_count": cell.row_count,
        "psi_excess": cell.psi_excess,
        "cause": cell.cause,
        "features": list(finding.features),
    }
