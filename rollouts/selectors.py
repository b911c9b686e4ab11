"""What rollouts show, always within the caller's organization."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from fleet.models import HardwareProfile, Region
from governance.types import Caller
from models_registry.models import Variant
from rollouts.errors import RolloutNotFoundError
from rollouts.models import Deployment, GateResult, Rollout, RolloutEvent, RolloutState, Wave
from rollouts.policy.progress import GateState
from rollouts.policy.texts import LEFT_OUT, is_holding, next_text
from rollouts.policy.transitions import DEPLOYMENT_ENDED
from rollouts.policy.types import policy_from
from rollouts.selectors_counts import RolloutCounts, rollout_counts, rollouts_waiting
from rollouts.services.planner import Preview

_NOT_COUNTED = {"skipped", "cancelled"}


def rollouts(*, caller: Caller, state: str = "", model: str = "") -> QuerySet[Rollout]:
    """The organization's rollouts; ``state`` and ``model`` (its name) restrict where given."""
    found = Rollout.objects.select_related("version__model", "created_by").filter(
        organization_id=caller.organization_id
    )
    if state:
        found = found.filter(state=state)
    if model:
        found = found.filter(version__model__name=model)
    return found


def rollout_for(*, caller: Caller, rollout_id: UUID) -> Rollout:
    """One rollout.

    Raises:
        RolloutNotFoundError: there is none, or it belongs to another organization.
    """
    found = rollouts(caller=caller).filter(public_id=rollout_id).first()
    if found is None:
        raise RolloutNotFoundError("There is no such rollout.")
    return found


def rollout_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of rollouts of the organization."""
    rows = Rollout.objects.filter(organization_id=organization_id, public_id__in=ids)
    return dict(rows.values_list("public_id", "name"))


def rollout_topic(caller: Caller, rollout_id: UUID) -> None:
    """Who may follow ``rollout:<id>``: whoever may see the rollout.

    Raises:
        RolloutNotFoundError: the caller may not.
    """
    rollout_for(caller=caller, rollout_id=rollout_id)


@dataclass
class RolloutView:
    """What hangs on a rollout: its waves, counts and newest gates of the released wave.

    ``is_waiting``: it runs, and devices of the released wave that can be reached are still on their way.
    """

    is_waiting: bool = False
    counts: RolloutCounts = field(default_factory=RolloutCounts)
    waves: list[Wave] = field(default_factory=list)
    gates: list[GateResult] = field(default_factory=list)

    def gate_states(self) -> list[GateState]:
        """The gates as values."""
        return [GateState(gate.gate, gate.metric, gate.verdict, gate.text) for gate in self.gates]

    def control(self) -> str | None:
        """The kind of control the newest gates used: the strongest among them."""
        used = {gate.control for gate in self.gates}
        return next((kind for kind in ("matched", "holdout", "own_history", "ceiling") if kind in used), None)

    def holds(self, rollout: Rollout) -> bool:
        """Whether a gate of the released wave holds it."""
        return is_holding(state=rollout.state, gates=self.gate_states(), is_waiting=self.is_waiting)

    def next(self, rollout: Rollout) -> dict[str, Any]:
        """What comes next, and when a person will be asked at the latest."""
        policy = policy_from(rollout.policy)
        counts = self.counts.waves.get(rollout.released_wave, Counter())
        proven = counts["proven"]
        ended = sum(n for state, n in counts.items() if state in DEPLOYMENT_ENDED and state not in _NOT_COUNTED)
        moving = sum(n for state, n in counts.items() if state not in DEPLOYMENT_ENDED) if self.is_waiting else 0
        at: datetime | None = None
        if rollout.state == RolloutState.RUNNING and rollout.judged_from is not None:
            at = rollout.judged_from + timedelta(seconds=policy.patience_s)
        text = next_text(
            state=rollout.state,
            policy=policy,
            released_wave=rollout.released_wave,
            wave_count=len(self.waves),
            moving=moving,
            proven=proven,
            judged=ended,
            gates=self.gate_states(),
        )
        return {"text": text, "at": at}


def rollout_views(found: Sequence[Rollout]) -> dict[int, RolloutView]:
    """What hangs on each of these rollouts (of one caller), in four queries."""
    ids = [rollout.pk for rollout in found]
    views = {number: RolloutView(counts=counts) for number, counts in rollout_counts(ids).items()}
    for wave in Wave.objects.filter(rollout_id__in=ids).order_by("rollout_id", "number"):
        views[wave.rollout_id].waves.append(wave)
    for number in rollouts_waiting([rollout.pk for rollout in found if rollout.state == RolloutState.RUNNING]):
        views[number].is_waiting = True
    released = {rollout.pk: rollout.released_wave for rollout in found}
    newest = (
        GateResult.objects.filter(rollout_id__in=ids)
        .order_by("rollout_id", "wave", "gate", "-at", "-id")
        .distinct("rollout_id", "wave", "gate")
        .defer("data")
    )
    for gate in newest:
        if gate.wave == released[gate.rollout_id]:
            views[gate.rollout_id].gates.append(gate)
    return views


def gate_results(*, caller: Caller, rollout_id: UUID) -> list[GateResult]:
    """The newest result of each gate of each wave, waves and gates in order.

    Raises:
        RolloutNotFoundError: there is no such rollout.
    """
    rollout = rollout_for(caller=caller, rollout_id=rollout_id)
    return list(
        GateResult.objects.filter(rollout=rollout).order_by("wave", "gate", "-at", "-id").distinct("wave", "gate")
    )


def rollout_events(*, caller: Caller, rollout_id: UUID) -> QuerySet[RolloutEvent]:
    """The event log, for keyset paging.

    Raises:
        RolloutNotFoundError: there is no such rollout.
    """
    return RolloutEvent.objects.filter(rollout=rollout_for(caller=caller, rollout_id=rollout_id))


def deployments(
    *,
    caller: Caller,
    rollout: UUID | None = None,
    device: UUID | None = None,
    state: str = "",
    wave: int | None = None,
) -> QuerySet[Deployment]:
    """Deployments, restricted where a filter is given; ids of others' rollouts and devices find nothing."""
    found = Deployment.objects.select_related(
        "rollout__version__model", "device__region", "device__hardware_profile"
    ).filter(rollout__organization_id=caller.organization_id)
    if rollout is not None:
        found = found.filter(rollout__public_id=rollout)
    if device is not None:
        found = found.filter(device__public_id=device)
    if state:
        found = found.filter(state=state)
    if wave is not None:
        found = found.filter(wave=wave)
    return found


def preview_facts(*, caller: Caller, preview: Preview) -> dict[str, Any]:
    """A preview with names instead of numbers, as ``rollouts/preview/`` answers it."""
    organization_id = caller.organization_id
    regions = dict(Region.objects.filter(organization_id=organization_id).values_list("pk", "name"))
    hardware = dict(HardwareProfile.objects.filter(organization_id=organization_id).values_list("pk", "name"))
    wanted = {cell.variant_id for cell in preview.cells} | {cell.previous_variant_id for cell in preview.cells}
    variants = {
        pk: (version, size)
        for pk, version, size in Variant.objects.filter(
            organization_id=organization_id, pk__in=[pk for pk in wanted if pk is not None]
        ).values_list("pk", "version__version", "artifact__size_bytes")
    }
    by_region: dict[int, Counter[str]] = {}
    by_hardware: dict[int, Counter[str]] = {}
    current: Counter[str | None] = Counter()
    size_bytes = 0
    for cell in preview.cells:
        if cell.wave == 0:
            continue
        by_region.setdefault(cell.wave, Counter())[regions.get(cell.region_id, "")] += cell.count
        by_hardware.setdefault(cell.wave, Counter())[hardware.get(cell.hardware_profile_id, "")] += cell.count
        previous = variants.get(cell.previous_variant_id) if cell.previous_variant_id else None
        current[previous[0] if previous else None] += cell.count
        if cell.variant_id is not None:
            size_bytes += cell.count * variants[cell.variant_id][1]
    plan = preview.plan
    return {
        "device_count": plan.device_count,
        "waves": [
            {
                "number": wave.number,
                "name": wave.name,
                "device_count": wave.device_count,
                "control": plan.control(wave),
                "by_region": dict(by_region.get(wave.number, {})),
                "by_hardware_profile": dict(by_hardware.get(wave.number, {})),
            }
            for wave in plan.waves
        ],
        "left_out": [
            {"reason_code": reason, "text": LEFT_OUT.get(reason, reason), "count": count}
            for reason, count in sorted(plan.skipped.items())
        ],
        "size_bytes_total": size_bytes,
        "warnings": list(preview.problems.values()),
        "current_versions": [{"version": version, "device_count": count} for version, count in current.most_common()],
    }
