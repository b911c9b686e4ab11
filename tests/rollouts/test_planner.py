"""The planner on a real PostgreSQL: who gets what when, and who is left out and why."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from common.clock import now
from fleet.models import Device, DeviceState
from governance.models import Organization
from models_registry.models import ModelVersion
from rollouts.errors import InvalidPolicyError, PlanRefusedError
from rollouts.models import Deployment, Rollout, RolloutState, Strategy, Wave
from rollouts.policy.assignment import assign
from rollouts.policy.strategies import waves_of
from rollouts.policy.types import Policy, policy_from, selector_from, to_json
from rollouts.services import reconcile
from rollouts.services.planner import plan_preview, rollout_plan
from tests.factories.fleets import (
    device_make,
    devices_make,
    hardware_profile_make,
    installed_make,
    variant_make,
    version_make,
)

pytestmark = [pytest.mark.sql, pytest.mark.django_db]


def rollout_make(
    version: ModelVersion, *, strategy: str = Strategy.CANARY, salt: str = "salt", **values: object
) -> Rollout:
    return Rollout.objects.create(
        organization=version.organization,
        name="test",
        version=version,
        strategy=strategy,
        salt=salt,
        selector=to_json(selector_from(values.pop("selector", {}))),
        policy=to_json(policy_from(values.pop("policy", {"gates": []}))),
        created_at=now(),
        **{"state": RolloutState.PLANNING, **values},
    )


def planned(rollout: Rollout) -> dict[str, int]:
    rows = Deployment.objects.filter(rollout=rollout, wave__gt=0).select_related("device")
    return {row.device.controller_id: row.wave for row in rows}


def test_every_device_is_in_exactly_one_wave_as_the_policy_says(organization: Organization) -> None:
    for region in ("north", "south"):
        for hardware, count in (("cpu", 40), ("gpu", 7)):
            devices_make(organization, count, region=region, hardware=hardware)
    device_make(organization, hardware="npu", region=None)
    version = version_make(organization)
    rollout = rollout_make(version)
    plan = rollout_plan(rollout=rollout, at=now())
    waves = waves_of(rollout.strategy, policy_from(rollout.policy))
    devices = Device.objects.values_list("controller_id", "region_id", "hardware_profile_id")
    expected = assign([(cid, (region or 0, hw)) for cid, region, hw in devices], salt="salt", waves=waves)
    assert planned(rollout) == expected
    assert plan.device_count == 95 == sum(wave.device_count for wave in Wave.objects.filter(rollout=rollout))
    assert [wave.device_count for wave in plan.waves] == [Counter(expected.values())[n] for n in range(1, 6)]


def test_planning_locks_no_device_so_that_they_are_served_meanwhile(organization: Organization) -> None:
    def locked_count() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM fleet_device WHERE xmax <> '0'")
            return int(cursor.fetchone()[0])

    devices_make(organization, 20)
    version = version_make(organization)
    rollout = rollout_make(version)
    assert locked_count() == 0
    assert rollout_plan(rollout=rollout, at=now()).device_count == 20
    assert locked_count() == 0
    Device.objects.select_for_update().first()
    assert locked_count() == 1


def test_in_a_pass_of_the_reconciler_nothing_waits_for_a_plan(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = version_make(organization)
    planning = rollout_make(version)
    running = rollout_make(version, state=RolloutState.RUNNING)
    order: list[int] = []

    def look_at(*, rollout_id: int, **_: object) -> None:
        order.append(rollout_id)

    monkeypatch.setattr(reconcile, "rollout_reconcile", look_at)
    reconcile.rollouts_reconcile(now=now())
    assert order == [running.pk, planning.pk]


def test_large_strata_are_planned_by_bucket_alone(organization: Organization) -> None:
    devices_make(organization, 1_200)
    version = version_make(organization)
    rollout = rollout_make(version)
    rollout_plan(rollout=rollout, at=now())
    waves = waves_of(rollout.strategy, policy_from(rollout.policy))
    expected = assign(
        [(d.controller_id, (d.region_id or 0, d.hardware_profile_id)) for d in Device.objects.all()],
        salt="salt",
        waves=waves,
    )
    assert planned(rollout) == expected


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    canary=st.floats(0.5, 20),
    holdout=st.sampled_from([0.0, 5.0, 30.0]),
    salt=st.text(min_size=1, max_size=8),
)
def test_assignment_is_complete_stratified_and_repeatable(
    sizes: list[int], canary: float, holdout: float, salt: str
) -> None:
    policy = Policy(canary_percent=canary, waves=(50.0, 100.0), holdout_percent=holdout)
    waves = waves_of(Strategy.CANARY, policy)
    devices = [(f"d{stratum}-{index}", (stratum, 1)) for stratum, size in enumerate(sizes) for index in range(size)]
    result = assign(devices, salt=salt, waves=waves)
    assert result == assign(list(reversed(devices)), salt=salt, waves=waves)
    assert set(result) == {device for device, _ in devices}
    assert set(result.values()) <= set(range(1, len(waves) + 1))
    for stratum, size in enumerate(sizes):
        mine = Counter(result[f"d{stratum}-{index}"] for index in range(size))
        assert mine[1] >= 1, "the first wave covers every stratum"
        assert abs(mine[1] - size * canary / 100) <= 1.5
        if holdout:
            assert mine[len(waves)] == (max(1, round(size * holdout / 100)) if size >= 10 else 0)


def test_another_salt_is_another_canary(organization: Organization) -> None:
    devices_make(organization, 200)
    version = version_make(organization)
    first, second = rollout_make(version, salt="a"), rollout_make(version, salt="b", state=RolloutState.DRAFT)
    rollout_plan(rollout=first, at=now())
    Rollout.objects.filter(pk=first.pk).update(state=RolloutState.CANCELLED)
    rollout_plan(rollout=second, at=now())
    canaries = [{cid for cid, wave in planned(r).items() if wave == 1} for r in (first, second)]
    assert canaries[0] != canaries[1]


def test_a_stratum_of_one_device_is_in_the_first_wave(organization: Organization) -> None:
    devices_make(organization, 200)
    lonely = device_make(organization, hardware="real-accelerator")
    rollout = rollout_make(version_make(organization))
    rollout_plan(rollout=rollout, at=now())
    assert planned(rollout)[lonely.controller_id] == 1


def test_each_hardware_profile_gets_its_own_variant_and_others_the_general_one(organization: Organization) -> None:
    version = version_make(organization)
    special = variant_make(version, "int8", hardware=hardware_profile_make(organization, "npu"))
    npu, cpu = device_make(organization, hardware="npu"), device_make(organization, hardware="cpu")
    rollout = rollout_make(version, strategy=Strategy.ALL_AT_ONCE)
    rollout_plan(rollout=rollout, at=now())
    variants = dict(Deployment.objects.filter(rollout=rollout).values_list("device_id", "variant__name"))
    assert variants == {npu.pk: special.name, cpu.pk: "fp32"}


def test_the_previous_variant_is_what_the_device_is_proven_to_run(organization: Organization) -> None:
    old, new = version_make(organization, "1.0.0"), version_make(organization, "1.1.0")
    ran, fresh = device_make(organization), device_make(organization)
    installed_make(ran, old)
    rollout = rollout_make(new, strategy=Strategy.ALL_AT_ONCE)
    rollout_plan(rollout=rollout, at=now())
    previous = dict(
        Deployment.objects.filter(rollout=rollout).values_list("device_id", "previous_variant__version__version")
    )
    assert previous == {ran.pk: "1.0.0", fresh.pk: None}


def test_devices_left_out_say_why(organization: Organization) -> None:
    version, other = version_make(organization, "1.1.0"), version_make(organization, "1.2.0")
    version.variants.update(hardware_profile=hardware_profile_make(organization, "cpu"))
    runs_it, quarantined, busy, odd, fine = (
        device_make(organization),
        device_make(organization, state=DeviceState.QUARANTINED),
        device_make(organization),
        device_make(organization, hardware="toaster"),
        device_make(organization),
    )
    for state in (DeviceState.PENDING, DeviceState.DECOMMISSIONED, DeviceState.REJECTED):
        device_make(organization, state=state)
    installed_make(runs_it, version)
    holding = rollout_make(other, state=RolloutState.RUNNING)
    Deployment.objects.create(
        rollout=holding, device=busy, wave=1, variant=other.variants.get(), state="downloading", state_at=now()
    )
    preview = plan_preview(
        version=version, strategy=Strategy.ALL_AT_ONCE, selector=selector_from({}),
        policy=policy_from({"gates": []}), salt="x",
    )  # fmt: skip
    assert preview.problems == {}
    assert preview.plan.skipped == {"already_running": 1, "quarantined": 1, "busy": 1, "no_variant": 1}
    rollout = rollout_make(version, strategy=Strategy.ALL_AT_ONCE)
    plan = rollout_plan(rollout=rollout, at=now())
    assert plan.device_count == 1
    skipped = dict(Deployment.objects.filter(rollout=rollout, state="skipped").values_list("device_id", "reason_code"))
    assert skipped == {quarantined.pk: "quarantined", busy.pk: "busy", odd.pk: "no_variant"}
    assert list(planned(rollout)) == [fine.controller_id]


def test_devices_that_cannot_attest_are_left_out_when_attestation_is_required(organization: Organization) -> None:
    device_make(organization)
    preview = plan_preview(
        version=version_make(organization), strategy=Strategy.ALL_AT_ONCE, selector=selector_from({}),
        policy=policy_from({"gates": [], "evidence_required": "attested"}), salt="x",
    )  # fmt: skip
    assert preview.plan.skipped == {"cannot_attest": 1}
    assert "selector" in preview.problems


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, 6),
        ({"regions": ["north"]}, 3),
        ({"regions": ["north", "south"]}, 6),
        ({"hardware_profiles": ["gpu"]}, 2),
        ({"regions": ["south"], "hardware_profiles": ["gpu"]}, 1),
        ({"labels": {"ring": "early"}}, 1),
        ({"models": ["digits"]}, 1),
        ({"models": ["digits@1.0.0"]}, 1),
        ({"models": ["digits@9"]}, 0),
    ],
)
def test_a_selector_names_devices(organization: Organization, selector: dict[str, object], expected: int) -> None:
    old = version_make(organization, "1.0.0")
    for region in ("north", "south"):
        devices_make(organization, 2, region=region)
        device_make(organization, region=region, hardware="gpu")
    first = Device.objects.order_by("id")[0]
    Device.objects.filter(pk=first.pk).update(labels={"ring": "early", "floor": "2"})
    installed_make(first, old)
    preview = plan_preview(
        version=version_make(organization, "1.1.0"), strategy=Strategy.CANARY, selector=selector_from(selector),
        policy=policy_from({"gates": []}), salt="x",
    )  # fmt: skip
    assert preview.plan.device_count == expected


def test_an_unknown_name_in_the_selector_is_named(organization: Organization) -> None:
    with pytest.raises(InvalidPolicyError) as caught:
        plan_preview(
            version=version_make(organization), strategy=Strategy.CANARY,
            selector=selector_from({"regions": ["nowhere"]}), policy=policy_from({}), salt="x",
        )  # fmt: skip
    assert caught.value.fields == {"selector.regions": "There is no region 'nowhere'."}


def test_devices_of_another_organization_are_never_planned(
    organization: Organization, other_organization: Organization
) -> None:
    device_make(other_organization)
    mine = device_make(organization)
    rollout = rollout_make(version_make(organization), strategy=Strategy.ALL_AT_ONCE)
    rollout_plan(rollout=rollout, at=now())
    assert list(planned(rollout)) == [mine.controller_id]


def test_a_wave_nothing_could_judge_is_refused(organization: Organization) -> None:
    device_make(organization)
    gate = {"name": "speed", "metric": "latency_p95", "harm_bound": 0.2}
    rollout = rollout_make(version_make(organization), policy={"gates": [gate]})
    with pytest.raises(PlanRefusedError) as caught:
        rollout_plan(rollout=rollout, at=now())
    assert "policy.gates[0]" in caught.value.fields


def test_a_preview_writes_nothing(organization: Organization) -> None:
    devices_make(organization, 30)
    preview = plan_preview(
        version=version_make(organization), strategy=Strategy.CANARY, selector=selector_from({}),
        policy=policy_from({}), salt="x",
    )  # fmt: skip
    assert preview.problems == {}
    assert preview.plan.device_count == 30
    assert sum(cell.count for cell in preview.cells) == 30
    assert not Deployment.objects.exists()
