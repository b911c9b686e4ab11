"""What gates measure, and the values they are given and give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from rollouts.models import Verdict
from rollouts.policy.types import GateSpec

Control = Literal["matched", "holdout", "own_history", "ceiling"]


@dataclass(frozen=True)
class MetricInfo:
    """What a metric is.

    Args:
        title: for sentences.
        unit: of bounds and estimates: ``ratio`` and ``relative`` are shown as percent.
        level_unit: of levels and ceilings.
        source: where its values come from.
        is_relative: compared as a ratio of after to before.
        is_proportion: levels are counts of events over counts of samples.
        needs_previous: only devices that ran an earlier version have it.
    """

    title: str
    unit: str
    level_unit: str
    source: Literal["windows", "health", "shadow", "deployments"]
    is_relative: bool = False
    is_proportion: bool = False
    needs_previous: bool = True


METRICS: Final[dict[str, MetricInfo]] = {
    "disagreement": MetricInfo(
        "disagreement with the previous version", "ratio", "ratio", "shadow", is_proportion=True
    ),
    "latency_p95": MetricInfo("latency p95", "relative", "ms", "windows", is_relative=True),
    "latency_mean": MetricInfo("mean latency", "relative", "ms", "windows", is_relative=True),
    "error_rate": MetricInfo("error rate", "ratio", "ratio", "windows", is_proportion=True),
    "temperature": MetricInfo("temperature", "°C", "°C", "health", needs_previous=False),
    "memory": MetricInfo("memory used", "ratio", "ratio", "health", needs_previous=False),
    "failed_deployments": MetricInfo(
        "failed deployments", "ratio", "ratio", "deployments", is_proportion=True, needs_previous=False
    ),
}


@dataclass(frozen=True)
class DeviceWindows:
    """One device's windows around its switch; for a control device, around the treated devices' median switch.

    Args:
        device_id: whose.
        before: mean of the metric over its last windows before, or None.
        before_count: how many windows that is.
        after: mean since, or None.
        after_count: how many windows that is.
        samples: inferences (or health samples) since.
        stratum: its kind: devices of one number have the same hardware (and region, where the control has it).
    """

    device_id: int
    before: float | None
    before_count: int
    after: float | None
    after_count: int
    samples: int
    stratum: int = 0


@dataclass(frozen=True)
class ShadowWindow:
    """One window of one device in which both versions answered the same inputs."""

    device_id: int
    count: int
    disagreements: int


@dataclass(frozen=True)
class Judgement:
    """A verdict with its evidence. ``estimate``, ``low``, ``high`` and ``bound`` are in ``unit_of(metric, control)``.

    ``needed`` and ``present`` say how many devices or samples (rows) a gate that holds waits for.
    """

    verdict: Verdict
    control: Control
    text: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    treated_count: int = 0
    control_count: int = 0
    needed: int | None = None
    present: int | None = None
    needed_unit: Literal["devices", "rows"] = "devices"

    @property
    def stops(self) -> bool:
        """Whether it stops the rollout."""
        return self.verdict in {Verdict.HARM, Verdict.CANNOT_COMPUTE}


def unit_of(metric: str, control: str) -> str:
    """The unit of a result: of a level when judged by a ceiling alone, else of a change."""
    info = METRICS[metric]
    return info.level_unit if control == "ceiling" else info.unit


_DECIMALS_MAX: Final = 4


def format_value(value: float, unit: str, *, signed: bool = False, decimals: int = 1) -> str:
    """A value with its unit as people read it: ratios as percent, with so many decimals. Nothing is "-0.0"."""
    sign = "+" if signed else ""
    if unit in {"ratio", "relative"}:
        return f"{round(value * 100, decimals) + 0.0:{sign}.{decimals}f} %"
    return f"{value + 0.0:{sign}.3g} {unit}"


def format_interval(estimate: float, low: float, high: float, unit: str, *, signed: bool = False, of: str = "") -> str:
    """An estimate (``of`` what) with its 95 % interval.

    A narrow one has more decimals, and percentages round outwards: no interval is printed as if it had no width.
    """
    width = (high - low) * 100
    decimals = _DECIMALS_MAX if width <= 0 else min(_DECIMALS_MAX, max(1, math.ceil(-math.log10(width))))
    if unit in {"ratio", "relative"}:
        step = 10 ** -(decimals + 2)
        # A hundredth of a step of tolerance, so that 2 % in binary does not become 2.1 %.
        low, high = math.floor(low / step + 0.01) * step, math.ceil(high / step - 0.01) * step
    shown, bottom, top = (
        format_value(value, unit, signed=signed, decimals=decimals) for value in (estimate, low, high)
    )
    return f"{shown}{of}, 95 % interval [{bottom}, {top}]"


def not_applicable(spec: GateSpec, why: str) -> Judgement:
    """An optional gate that has nothing to judge in this wave."""
    return Judgement(
        verdict=Verdict.PASS, control="ceiling", text=f"Does not apply: {why}.", bound=spec.ceiling or spec.harm_bound
    )
