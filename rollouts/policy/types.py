"""What a rollout is given: which devices, and how careful.

Stored as JSON on the rollout, checked once when it is made. Percentages are 0 to 100 where the name says percent;
durations are seconds; every field has a default that suits production.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, structs

from flotilla_protocol import codec
from flotilla_protocol.errors import InvalidMessageError
from rollouts.errors import InvalidPolicyError

T = TypeVar("T")

_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Names = Annotated[tuple[_Name, ...], Meta(max_length=200)]
_DAY_S: Final = 86_400.0
_LONGEST_S: Final = 90 * _DAY_S
_Seconds = Annotated[float, Meta(ge=0, le=_LONGEST_S)]
_Percent = Annotated[float, Meta(ge=0, le=100)]


class Selector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which devices. Empty means any; lists are alternatives, fields are joined by "and".

    Args:
        regions: names of regions.
        hardware_profiles: names of hardware profiles.
        sites: names of sites.
        labels: all of these labels.
        models: devices that run one of these, as ``name`` or ``name@version``.
    """

    regions: _Names = ()
    hardware_profiles: _Names = ()
    sites: _Names = ()
    labels: Annotated[dict[_Name, Annotated[str, Meta(max_length=256)]], Meta(max_length=50)] = {}
    models: _Names = ()


Metric = Literal[
    "disagreement", "latency_p95", "latency_mean", "error_rate", "failed_deployments", "temperature", "memory"
]


class GateSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that must not get worse (``docs/developers/gates.md``).

    Args:
        name: shown on screen, unique within the policy.
        metric: what is measured; its unit is in ``policy.metrics.METRICS``.
        harm_bound: the largest change against the control that is tolerated, in the metric's unit (for latencies a
            ratio: 0.25 is 25 % slower). Null: not compared.
        ceiling: the largest level that is tolerated, whatever the control does. Null: no ceiling.
        minimum_devices: treated devices with data below which there is no verdict.
        minimum_samples: inferences (disagreement: shadow comparisons; health: samples) below which there is none.
        is_optional: leave the gate out of waves it cannot judge, instead of refusing the plan.
    """

    name: Annotated[str, Meta(min_length=1, max_length=48)]
    metric: Metric
    harm_bound: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    ceiling: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    minimum_devices: Annotated[int, Meta(ge=1, le=100_000)] = 3
    minimum_samples: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 100
    is_optional: bool = False

    def __post_init__(self) -> None:
        if self.harm_bound is None and self.ceiling is None:
            raise ValueError("a gate needs a harm_bound, a ceiling or both")
        if self.metric in {"disagreement", "failed_deployments"} and self.ceiling is None:
            raise ValueError(f"{self.metric} is judged by its ceiling: give one")


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a failed device tries again: after ``backoff_s``, then twice that, and so on (at most a day)."""

    attempts: Annotated[int, Meta(ge=1, le=20)] = 3
    backoff_s: _Seconds = 300.0


POLLS_REACHABLE: Final = 30


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When silence means something.

    Args:
        reachable_s: a device heard from within this time is reachable; only those hold a wave. ``POLLS_REACHABLE``
            times the installation's poll interval when left out.
        progress_s: a device that is downloading, verifying or installing and says nothing for this long has failed
            this attempt.
        proof_s: how long after the soak a claimed device may take to prove what it runs before it counts as not proven.
    """

    reachable_s: _Seconds = POLLS_REACHABLE * 30.0
    progress_s: _Seconds = 3_600.0
    proof_s: _Seconds = 3_600.0


DEFAULT_GATES: Final = (
    GateSpec(name="disagreement", metric="disagreement", ceiling=0.05, is_optional=True),
    GateSpec(name="latency p95", metric="latency_p95", harm_bound=0.25, is_optional=True),
    GateSpec(name="error rate", metric="error_rate", harm_bound=0.01, ceiling=0.05),
)


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How careful.

    Args:
        canary_percent: share of the devices in the first wave of the strategy ``canary``.
        waves: cumulative percent reached by each wave after the canary; the last is always 100.
        holdout_percent: share that gets the version last and is the control until then; one device at least in each
            stratum of 10 or more, none in smaller ones. 0: none.
        cover_strata: the first wave has at least one device of every stratum (region and hardware profile), also where
            the percentage would round to none.
        soak_s: how long a device must run the version before it can be proven.
        evidence_required: the lowest evidence that counts as proven. A device's word (claimed) never does.
        shadow_every: in probation the agent runs the previous version too on every n-th input. 0: never.
        gates: what must not get worse; judged per wave.
        gate_interval_s: least time between two evaluations.
        proven_percent: share of a wave's reachable devices that must be proven before the next wave.
        max_failed_percent: a wave with more failed devices than this (and more than one) is stopped.
        patience_s: how long a wave may hold without a verdict before a person is asked.
        rollback_on_halt: go back by itself when a gate halts the rollout.
    """

    canary_percent: Annotated[float, Meta(gt=0, le=50)] = 5.0
    waves: Annotated[tuple[Annotated[float, Meta(gt=0, le=100)], ...], Meta(max_length=20)] = (25.0, 50.0, 100.0)
    holdout_percent: Annotated[float, Meta(ge=0, le=50)] = 5.0
    cover_strata: bool = True
    soak_s: _Seconds = 1_800.0
    evidence_required: Literal["observed", "attested"] = "observed"
    shadow_every: Annotated[int, Meta(ge=0, le=1_000_000)] = 10
    gates: Annotated[tuple[GateSpec, ...], Meta(max_length=20)] = DEFAULT_GATES
    gate_interval_s: Annotated[float, Meta(ge=1, le=86_400)] = 30.0
    proven_percent: _Percent = 90.0
    max_failed_percent: _Percent = 10.0
    patience_s: _Seconds = _DAY_S
    rollback_on_halt: bool = True
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()

    def __post_init__(self) -> None:
        steps = (self.canary_percent, *self.waves)
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError("waves must rise, and start above canary_percent")
        names = [gate.name for gate in self.gates]
        if len(set(names)) != len(names):
            raise ValueError("gates must have different names")


def selector_from(value: Any, *, field: str = "selector") -> Selector:
    """A selector from plain JSON values.

    Raises:
        InvalidPolicyError: ``fields`` names what is wrong, as ``selector.labels``.
    """
    return _convert(value, Selector, field)


def policy_from(value: Any, *, field: str = "policy", poll_interval_s: float = 30.0) -> Policy:
    """A policy from plain JSON values; what is left out has its default.

    Args:
        value: what was asked for, or what was stored, where nothing is left out.
        field: what errors call it.
        poll_interval_s: how often devices ask, in seconds; matters only where ``timeouts.reachable_s`` is left out.

    Raises:
        InvalidPolicyError: ``fields`` names what is wrong, as ``policy.gates[1].ceiling``.
    """
    policy = _convert(value, Policy, field)
    if "reachable_s" in value.get("timeouts", {}):
        return policy
    silence_s = min(POLLS_REACHABLE * poll_interval_s, _LONGEST_S)
    return structs.replace(policy, timeouts=structs.replace(policy.timeouts, reachable_s=silence_s))


def to_json(value: Selector | Policy) -> Any:
    """Plain values for a JSON column; every default is written out, so that later defaults change nothing."""
    return codec.plain(value)


def _convert(value: Any, kind: type[T], field: str) -> T:
    try:
        return codec.convert(value, kind)
    except InvalidMessageError as error:
        place = f"{field}.{error.field}" if error.field and not error.field.startswith("[") else f"{field}{error.field}"
        raise InvalidPolicyError(f"{place}: {error.text}", fields={place: error.text}) from error
