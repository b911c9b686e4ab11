"""Gates of a released wave: fetch what they judge, judge, keep the result and its series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rollouts import events
from rollouts.models import Deployment, DeploymentState, GateResult, Rollout, Verdict, Wave
from rollouts.policy.ceilings import judge_disagreement, judge_failures
from rollouts.policy.gates import judge_change
from rollouts.policy.metrics import METRICS, DeviceWindows, Judgement, ShadowWindow, not_applicable, unit_of
from rollouts.policy.planning import PlannedWave, why_not_judged
from rollouts.policy.progress import GateState
from rollouts.policy.series import Arm, arm_windows, merge_points, series_of
from rollouts.policy.types import GateSpec, Policy
from telemetry.errors import InvalidSpanError
from telemetry.selectors import health_samples, inference_windows

D = DeploymentState
_DEVICES_MAX: Final = 500  # of each arm; more would change the verdict by little and cost much
_HISTORY: Final = timedelta(minutes=30)  # looked back at least
_SPAN_MAX: Final = timedelta(hours=6)  # looked at at most, before and after
_POINTS_MAX: Final = 120  # of a series on screen
_FAILED: Final = (D.FAILED, D.ROLLED_BACK, D.RESTORE_FAILED)
FAILURES: Final = GateSpec(name="failed deployments", metric="failed_deployments", ceiling=0.1)
_HEALTH: Final = {"temperature": "temperature_c", "memory": "memory_used_ratio"}


@dataclass(frozen=True)
class _Cohort:
    """The devices one evaluation looks at.

    ``treated`` and ``control``: device number -> its switch, Unix seconds; ``strata``: device number -> its kind.
    """

    treated: dict[int, float]
    control: dict[int, float]
    strata: dict[int, int]
    control_kind: str
    model: str
    digests: frozenset[str]
    device_count: int


def gates_evaluate(*, rollout: Rollout, policy: Policy, wave: Wave, at: datetime) -> list[GateState]:
    """Judge every gate of a released wave and store the results. Inside the caller's transaction, rollout locked.

    A wave with fewer devices than a gate's minimum is judged together with the waves before it.

    Returns:
        The verdicts, in the policy's order; failed deployments first.
    """
    states = [_store(rollout, wave, _failures_spec(policy), _failures(rollout, policy, wave), series={}, at=at)]
    planned = _planned(rollout, wave)
    series: dict[str, Any]
    window_data: dict[str, tuple[_Cohort, Any]] = {}
    for spec in policy.gates:
        source = METRICS[spec.metric].source
        why = why_not_judged(spec, planned, policy)
        if source == "deployments":
            judgement, series = _failures(rollout, policy, wave, spec), {}
        elif why is not None and spec.is_optional:
            judgement, series = not_applicable(spec, why), {}
        else:
            key = "health" if source == "health" else "windows"
            if key not in window_data:
                cohort = _cohort(rollout, policy, wave, at=at)
                window_data[key] = (cohort, _fetch(rollout, cohort, key, at=at))
            cohort, data = window_data[key]
            judgement, series = _judge(spec, cohort, data)
        states.append(_store(rollout, wave, spec, judgement, series=series, at=at))
    return states


def _failures_spec(policy: Policy) -> GateSpec:
    return GateSpec(
        name=FAILURES.name, metric="failed_deployments", ceiling=max(policy.max_failed_percent, 0.001) / 100
    )


def _failures(rollout: Rollout, policy: Policy, wave: Wave, spec: GateSpec | None = None) -> Judgement:
    states = Deployment.objects.filter(rollout=rollout, wave=wave.number).values_list("state", flat=True)
    counted = [state for state in states if state not in {D.SKIPPED, D.CANCELLED}]
    failed = sum(state in _FAILED for state in counted)
    ended = failed + sum(state == D.PROVEN for state in counted)
    return judge_failures(spec or _failures_spec(policy), failed=failed, ended=ended, wave_device_count=len(counted))


def _planned(rollout: Rollout, wave: Wave) -> PlannedWave:
    rows = Deployment.objects.filter(rollout=rollout, wave=wave.number)
    return PlannedWave(
        number=wave.number,
        name=wave.name,
        device_count=wave.device_count,
        previous_count=rows.filter(previous_variant__isnull=False)[:1].count(),
    )


def _cohort(rollout: Rollout, policy: Policy, wave: Wave, *, at: datetime) -> _Cohort:
    """Treated devices of the wave (or, when it is small, of the waves before it too) and their control."""
    released = Deployment.objects.filter(rollout=rollout, wave__gt=0, wave__lte=wave.number)
    smallest = max((spec.minimum_devices for spec in policy.gates), default=1)
    in_wave = released.filter(wave=wave.number).exclude(state__in=[D.SKIPPED, D.CANCELLED])
    judged = in_wave if in_wave[:smallest].count() >= smallest else released
    treated_rows = list(
        judged.filter(state__in=[D.PROBATION, D.PROVEN], installed_at__isnull=False)
        .order_by("-wave", "id")
        .values_list(
            "device_id", "installed_at", "device__region_id", "device__hardware_profile_id", "variant__artifact__sha256"
        )[:_DEVICES_MAX]
    )
    since = _since(rollout, at)
    treated = {device: max(switch, since).timestamp() for device, switch, *_ in treated_rows if switch is not None}
    median = float(np.median(list(treated.values()))) if treated else at.timestamp()
    waiting = Deployment.objects.filter(
        rollout=rollout, wave__gt=wave.number, state=D.PLANNED, previous_variant__isnull=False
    )
    strata = {(region, hardware) for _, _, region, hardware, _ in treated_rows}
    # Matched: the same hardware profile and region; where there is none, the same hardware profile.
    candidates = list(
        waiting.filter(device__hardware_profile_id__in={hardware for _, hardware in strata})
        .order_by("id")
        .values_list("device_id", "device__region_id", "device__hardware_profile_id")[: 4 * _DEVICES_MAX]
    )
    matched = [device for device, region, hardware in candidates if (region, hardware) in strata]
    is_matched = len(matched) > 1
    control = (matched if is_matched else [device for device, *_ in candidates])[:_DEVICES_MAX]
    everybody = [(device, region, hardware) for device, _, region, hardware, _ in treated_rows] + candidates
    numbers = {kind: number for number, kind in enumerate({(region, hardware) for _, region, hardware in everybody})}
    kinds = {device: numbers[region, hardware] if is_matched else hardware for device, region, hardware in everybody}
    last = Wave.objects.filter(rollout=rollout).order_by("-number").values_list("number", "name").first()
    only_holdout = last is not None and last[0] == wave.number + 1 and last[1].startswith("hold-out")
    return _Cohort(
        treated=treated,
        control=dict.fromkeys(control, median),
        strata=kinds,
        control_kind="holdout" if only_holdout else "matched",
        model=rollout.version.model.name,
        digests=frozenset(digest for *_, digest in treated_rows if digest),
        device_count=judged.count(),
    )


def _since(rollout: Rollout, at: datetime) -> datetime:
    """Nothing older than the last time a person let the rollout go on after a halt counts."""
    earliest = at - _SPAN_MAX
    released = Wave.objects.filter(rollout=rollout, number=rollout.released_wave).values_list("released_at", flat=True)
    resumed = rollout.judged_from if rollout.judged_from and released[0] and rollout.judged_from > released[0] else None
    return max(resumed, earliest) if resumed else earliest


def _fetch(rollout: Rollout, cohort: _Cohort, key: str, *, at: datetime) -> Any:
    """Rows of both arms, from before the first switch until now; of fewer devices when there are too many rows."""
    switches = [*cohort.treated.values(), *cohort.control.values()] or [at.timestamp()]
    first = datetime.fromtimestamp(min(switches), UTC)
    since = max(first - max(at - first, _HISTORY), at - 2 * _SPAN_MAX)
    share = 1.0
    while True:
        devices = [
            device for arm in (cohort.treated, cohort.control) for device in list(arm)[: max(1, int(len(arm) * share))]
        ]
        try:
            if key == "health":
                return health_samples(
                    organization_id=rollout.organization_id,
                    device_ids=devices,
                    since=since,
                    until=at,
                    columns=sorted(_HEALTH.values()),
                )
            return inference_windows(organization_id=rollout.organization_id, device_ids=devices, since=since, until=at)
        except InvalidSpanError:
            if share < 0.02:  # noqa: PLR2004 - a handful of devices with too many rows: the error is the answer
                raise
            share /= 2


def _judge(spec: GateSpec, cohort: _Cohort, data: Any) -> tuple[Judgement, dict[str, Any]]:
    info = METRICS[spec.metric]
    if info.source == "health":
        values = data.columns[_HEALTH[spec.metric]]
        arm = Arm(device=data.device_id, ts_s=data.ts_s, value=values, samples=np.ones(len(values), dtype=np.int64))
        return _judge_arm(spec, cohort, arm, is_new=None)
    of_model = data.model == cohort.model
    is_new = of_model & np.isin(data.digest, sorted(cohort.digests))
    if info.source == "shadow":
        treated = np.isin(data.device_id, list(cohort.treated)) & is_new & (data.shadow_count > 0)
        treated &= data.ts_s > _switch_of(data.device_id, cohort.treated)
        windows = [
            ShadowWindow(device_id=int(device), count=int(count), disagreements=int(disagreements))
            for device, count, disagreements in zip(
                data.device_id[treated],
                data.shadow_count[treated],
                data.shadow_disagreement_count[treated],
                strict=True,
            )
        ]
        judgement = judge_disagreement(spec, windows=windows, wave_device_count=cohort.device_count)
        ratio = data.shadow_disagreement_count[treated] / np.maximum(1, data.shadow_count[treated])
        return judgement, {"treated": series_of(data.ts_s[treated], ratio, points=_POINTS_MAX)}
    if spec.metric == "error_rate":
        values = data.error_count / np.maximum(1, data.inference_count)
        values = np.where(data.inference_count > 0, values, np.nan)
    else:
        values = data.latency_ms_p95 if spec.metric == "latency_p95" else data.latency_ms_mean
    arm = Arm(
        device=data.device_id[of_model],
        ts_s=data.ts_s[of_model],
        value=values[of_model],
        samples=data.inference_count[of_model],
    )
    return _judge_arm(spec, cohort, arm, is_new=is_new[of_model])


def _switch_of(devices: NDArray[np.int64], switches: dict[int, float]) -> NDArray[np.float64]:
    return np.array([switches.get(int(device), np.inf) for device in devices], dtype=np.float64)


def _judge_arm(
    spec: GateSpec, cohort: _Cohort, arm: Arm, *, is_new: NDArray[np.bool_] | None
) -> tuple[Judgement, dict[str, Any]]:
    is_cold = METRICS[spec.metric].source == "windows"

    def devices(switches: dict[int, float], new: NDArray[np.bool_] | None) -> list[DeviceWindows]:
        found = arm_windows(arm, switches, is_new=new, is_cold_at_first=is_cold)
        return [replace(device, stratum=cohort.strata[device.device_id]) for device in found]

    treated, control = devices(cohort.treated, is_new), devices(cohort.control, None)
    judgement = judge_change(
        spec,
        treated=treated,
        control=control,
        control_kind="holdout" if cohort.control_kind == "holdout" else "matched",
        wave_device_count=cohort.device_count,
    )
    start = min(cohort.treated.values(), default=0.0)
    series: dict[str, Any] = {}
    for name, switches in (("treated", cohort.treated), ("control", cohort.control)):
        mask = np.isin(arm.device, list(switches)) & (arm.ts_s > start) & np.isfinite(arm.value)
        if mask.any():
            series[name] = series_of(arm.ts_s[mask], arm.value[mask], points=_POINTS_MAX)
    return judgement, series


def _store(
    rollout: Rollout, wave: Wave, spec: GateSpec, judgement: Judgement, *, series: dict[str, Any], at: datetime
) -> GateState:
    """Keep the newest result; a new row only when the verdict changes, so that a log of verdicts stays."""
    newest = GateResult.objects.filter(rollout=rollout, wave=wave.number, gate=spec.name).order_by("-at", "-id").first()
    difference = merge_points(
        newest.data.get("difference") if newest else None,
        {"ts": at.isoformat(), "value": judgement.estimate, "low": judgement.low, "high": judgement.high},
        points=_POINTS_MAX,
    )
    data: dict[str, Any] = {**series, "difference": difference}
    if judgement.needed is not None:
        data |= {"needed": judgement.needed, "present": judgement.present, "needed_unit": judgement.needed_unit}
    values = {
        "metric": spec.metric,
        "verdict": judgement.verdict,
        "control": judgement.control,
        "estimate": judgement.estimate,
        "low": judgement.low,
        "high": judgement.high,
        "harm_bound": judgement.bound,
        "treated_count": judgement.treated_count,
        "control_count": judgement.control_count,
        "text": judgement.text,
        "data": data,
        "at": at,
    }
    if newest is not None and newest.verdict == judgement.verdict:
        GateResult.objects.filter(pk=newest.pk).update(**values)
    else:
        GateResult.objects.create(rollout=rollout, wave=wave.number, gate=spec.name, **values)
        if newest is not None or judgement.stops:
            events.rollout_event_append(
                rollout=rollout,
                kind=f"gate.{judgement.verdict}",
                text=f"Gate {spec.name}: {Verdict(judgement.verdict).label.lower()}. {judgement.text}",
                at=at,
                data={"gate": spec.name, "wave": wave.number, "verdict": judgement.verdict},
            )
    # The series are left to a refetch: a notice is small.
    told = {key: value for key, value in values.items() if key not in {"data", "at"}}
    events.publish_gate_changed(
        rollout=rollout,
        gate=spec.name,
        data={
            **told,
            "wave": wave.number,
            "gate": spec.name,
            "unit": unit_of(spec.metric, judgement.control),
            "at": at.isoformat(),
        },
    )
    return GateState(name=spec.name, metric=spec.metric, verdict=judgement.verdict, text=judgement.text)
