"""From selector, strategy and policy to waves and deployments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection

from fleet.models import HardwareProfile, Region, Site
from models_registry.models import ModelVersion, Variant
from rollouts import plan_sql
from rollouts.errors import InvalidPolicyError, PlanRefusedError
from rollouts.models import DeploymentState, Rollout, Wave
from rollouts.policy.planning import PlannedWave, control_of, refusals
from rollouts.policy.strategies import WaveShare, waves_of
from rollouts.policy.transitions import DEPLOYMENT_OPEN, ROLLOUT_HOLDING
from rollouts.policy.types import Policy, Selector, policy_from, selector_from

# Sorts and hashes of a million devices stay in memory, for this transaction only.
_ROOM: Final = "SET LOCAL work_mem = '96MB'"


@dataclass(frozen=True)
class Plan:
    """What a rollout comes to.

    Args:
        waves: with their counts.
        skipped: devices named by the selector and not planned, by reason.
        previous_variants: the numbers of the variants the planned devices run now.
    """

    waves: tuple[PlannedWave, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    previous_variants: frozenset[int] = frozenset()

    @property
    def device_count(self) -> int:
        """Devices that get the version."""
        return sum(wave.device_count for wave in self.waves)

    def control(self, wave: PlannedWave) -> str:
        """What a wave will be compared with."""
        return control_of(wave, self.waves)


@dataclass(frozen=True)
class Cell:
    """Devices of a preview that are alike. ``wave`` 0: left out, for ``reason``; ``region_id`` 0: none."""

    wave: int
    reason: str
    region_id: int
    hardware_profile_id: int
    variant_id: int | None
    previous_variant_id: int | None
    count: int


@dataclass(frozen=True)
class Preview:
    """A plan that was not made: with its devices broken down, and what would forbid it (field -> text)."""

    plan: Plan
    cells: tuple[Cell, ...]
    problems: dict[str, str]


def plan_preview(
    *, version: ModelVersion, strategy: str, selector: Selector, policy: Policy, salt: str, rollout_id: int = 0
) -> Preview:
    """The plan without writing anything.

    Args:
        version: what would roll out.
        strategy: a value of ``Strategy``.
        selector: which devices.
        policy: how careful.
        salt: of the hash; the counts of small strata depend on it.
        rollout_id: the rollout's number when there is one already.

    Raises:
        InvalidPolicyError: the selector names something the organization does not have.
    """
    waves = waves_of(strategy, policy)
    selected, parameters = _selection(version.organization_id, selector)
    parameters |= _parameters(version, policy, waves, salt=salt, rollout_id=rollout_id)
    with connection.cursor() as cursor:
        cursor.execute(plan_sql.count_statement(selected), parameters)
        cells = tuple(Cell(*row) for row in cursor.fetchall())
    rows = [(cell.wave, cell.reason, cell.previous_variant_id, cell.count) for cell in cells]
    plan = _plan_of(waves, rows)
    return Preview(plan=plan, cells=cells, problems=refusals(policy, plan.waves))


def rollout_plan(*, rollout: Rollout, at: datetime) -> Plan:
    """Write the waves and deployments of a rollout, in one INSERT. Inside the caller's transaction, rollout locked.

    Raises:
        PlanRefusedError: the plan may not be carried out; the caller's transaction must be rolled back.
        InvalidPolicyError: the selector names something that is gone.
    """
    version = ModelVersion.objects.select_related("model").get(pk=rollout.version_id)
    policy, selector = policy_from(rollout.policy), selector_from(rollout.selector)
    waves = waves_of(rollout.strategy, policy)
    selected, parameters = _selection(rollout.organization_id, selector)
    parameters |= _parameters(version, policy, waves, salt=rollout.salt, rollout_id=rollout.pk)
    parameters["now"] = at
    with connection.cursor() as cursor:
        cursor.execute(_ROOM)
        cursor.execute(plan_sql.insert_statement(selected), parameters)
        plan = _plan_of(waves, cursor.fetchall())
    problems = refusals(policy, plan.waves)
    if problems:
        raise PlanRefusedError(" ".join(problems.values()), fields=problems)
    Wave.objects.bulk_create(
        Wave(rollout=rollout, number=wave.number, name=wave.name, device_count=wave.device_count) for wave in plan.waves
    )
    return plan


def planned_previous_versions(plan: Plan) -> list[str]:
    """What the planned devices run now, by version string."""
    rows = Variant.objects.filter(pk__in=plan.previous_variants).values_list("version__version", flat=True)
    return sorted(rows.distinct())


def _plan_of(waves: tuple[WaveShare, ...], rows: Iterable[tuple[int, str, int | None, int]]) -> Plan:
    """``rows``: wave, reason, previous variant, devices."""
    devices: Counter[int] = Counter()
    returning: Counter[int] = Counter()  # those that have something to go back to
    skipped: Counter[str] = Counter()
    variants: set[int] = set()
    for wave, reason, variant, count in rows:
        if wave == 0:
            skipped[reason] += count
            continue
        devices[wave] += count
        if variant is not None:
            returning[wave] += count
            variants.add(variant)
    return Plan(
        waves=tuple(
            PlannedWave(
                number=number,
                name=wave.name,
                device_count=devices[number],
                previous_count=returning[number],
                is_holdout=wave.is_holdout,
            )
            for number, wave in enumerate(waves, start=1)
        ),
        skipped=dict(skipped),
        previous_variants=frozenset(variants),
    )


def _parameters(
    version: ModelVersion, policy: Policy, waves: tuple[WaveShare, ...], *, salt: str, rollout_id: int
) -> dict[str, Any]:
    return {
        "organization_id": version.organization_id,
        "version_id": version.pk,
        "model_id": version.model_id,
        "model_name": version.model.name,
        "rollout_id": rollout_id,
        "salt": salt,
        "must_attest": policy.evidence_required == "attested",
        "holding": sorted(ROLLOUT_HOLDING),
        "held": sorted(DEPLOYMENT_OPEN | {DeploymentState.PROVEN}),
        **plan_sql.wave_parameters(waves),
    }


def _selection(organization_id: int, selector: Selector) -> tuple[str, dict[str, Any]]:
    """The selector as SQL over ``d`` (fleet_device), with its parameters."""
    clauses: list[str] = []
    parameters: dict[str, Any] = {}
    for names, manager, column, field_name in (
        (selector.regions, Region.objects, "region_id", "regions"),
        (selector.hardware_profiles, HardwareProfile.objects, "hardware_profile_id", "hardware_profiles"),
        (selector.sites, Site.objects, "site_id", "sites"),
    ):
        if names:
            found = dict(manager.filter(organization_id=organization_id, name__in=names).values_list("name", "pk"))
            unknown = sorted(set(names) - set(found))
            if unknown:
                text = f"There is no {field_name[:-1].replace('_', ' ')} {unknown[0]!r}."
                raise InvalidPolicyError(text, fields={f"selector.{field_name}": text})
            clauses.append(f"AND d.{column} = ANY(%({field_name})s)")
            parameters[field_name] = sorted(found.values())
    if selector.labels:
        clauses.append("AND d.labels @> %(labels)s::jsonb")
        parameters["labels"] = json.dumps(selector.labels)
    if selector.models:
        clauses.append(
            "AND EXISTS (SELECT 1 FROM fleet_installedmodel s WHERE s.device_id = d.id "
            "AND (s.model_name = ANY(%(models)s) OR s.model_name || '@' || s.version = ANY(%(models)s)))"
        )
        parameters["models"] = list(selector.models)
    return " ".join(clauses), parameters
