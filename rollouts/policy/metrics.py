"""What gates measure, and the values they are given and give."""

from __future__ import annotations

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
    """

    device_id: int
    before: float | None
    before_count: int
    after: float | None
    after_count: int
    samples: int


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


def format_value(value: float, unit: str, *, signed: bool = False) -> str:
    """A value with its unit as people read it: ratios as percent."""
    sign = "+" if signed else ""
    if unit in {"ratio", "relative"}:
        return f"{value * 100:{sign}.1f} %"
    return f"{value:{sign}.3g} {unit}"


def not_applicable(spec: GateSpec, why: str) -> Judgement:
    """An optional gate that has nothing to judge in this wave."""
    return Judgement(
        verdict=Verdict.PASS, control="ceiling", text=f"Does not apply: {why}.", bound=spec.ceiling or spec.harm_bound
    )
