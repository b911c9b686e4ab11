"""A rollout from start to end, tick by tick, over the device door."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from common.clock import advanced, now
from fleet.models import Device, DeviceEvent, InstalledModel
from fleet.services.lifecycle import device_quarantine
from governance.models import Organization
from models_registry.models import ModelVersion
from models_registry.services.catalogue import version_deprecate
from rollouts.errors import PlanRefusedError, RollbackRefusedError
from rollouts.models import Action, Deployment, GateResult, Rollout, RolloutEvent, Wave
from rollouts.services.locks import device_lock
from rollouts.services.reconcile import rollouts_reconcile
from rollouts.services.rollouts import (
    rollout_cancel,
    rollout_create,
    rollout_halt,
    rollout_pause,
    rollout_resume,
    rollout_rollback,
    rollout_start,
)
from tests.factories.fleets import installed_make, version_make
from tests.factories.people import Person
from tests.rollouts.door import Door
from tests.rollouts.protocol_client import Agent, wait_for

pytestmark = pytest.mark.sql

QUICK: dict[str, Any] = {
    "gates": [],
    "soak_s": 0,
    "holdout_percent": 0,
    "canary_percent": 10,
    "waves": [100],
    "evidence_required": "attested",
    "gate_interval_s": 1,
    "retry": {"attempts": 2, "backoff_s": 60},
    "patience_s": 3600,
}


def start(operator: Person, version: ModelVersion, *, strategy: str = "canary", **policy: Any) -> Rollout:
    rollout = rollout_create(
        caller=operator.caller, name="r", version_id=version.public_id, strategy=strategy,
        selector={}, policy={**QUICK, **policy},
    )  # fmt: skip
    return rollout_start(caller=operator.caller, rollout_id=rollout.public_id)


def tick(after_s: float = 0) -> None:
    rollouts_reconcile(now=now() + timedelta(seconds=after_s))


def state(rollout: Rollout) -> str:
    return Rollout.objects.values_list("state", flat=True).get(pk=rollout.pk)


def states(rollout: Rollout) -> dict[str, str]:
    rows = Deployment.objects.filter(rollout=rollout).values_list("device__controller_id", "state")
    return dict(rows)


def agents_of(rollout: Rollout, agents: list[Agent], wave: int) -> list[Agent]:
    ids = set(Deployment.objects.filter(rollout=rollout, wave=wave).values_list("device_id", flat=True))
    return [agent for agent in agents if agent.device.pk in ids]


@pytest.fixture
def agents(door: Door, organization: Organization) -> list[Agent]:
    return [Agent(door, organization) for _ in range(5)]


def test_a_canary_is_proven_before_the_others_are_offered_anything(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    version = version_make(organization)
    rollout = start(operator, version)
    assert state(rollout) == "planning"
    tick()
    assert state(rollout) == "running"
    canary, others = agents_of(rollout, agents, 1), agents_of(rollout, agents, 2)
    assert len(canary) == 1
    assert all(agent.offered() is None for agent in others)
    chunk = canary[0].update()
    assert (chunk["name"], chunk["version"]) == ("digits", "1.0.0")
    assert states(rollout)[canary[0].cid] == "probation"
    tick(2)
    assert Wave.objects.get(rollout=rollout, number=1).passed_at is None, "claimed is not proven"
    assert canary[0].report().status_code == 200
    assert states(rollout)[canary[0].cid] == "proven"
    tick(4)
    assert Rollout.objects.get(pk=rollout.pk).released_wave == 2
    for agent in others:
        agent.update()
        agent.report()
    tick(6)
    assert state(rollout) == "completed"
    assert set(states(rollout).values()) == {"proven"}
    installed = InstalledModel.objects.filter(model_name="digits", version="1.0.0", evidence="attested")
    assert installed.count() == 5
    kinds = list(RolloutEvent.objects.filter(rollout=rollout).order_by("id").values_list("kind", flat=True))
    assert kinds == [
        "rollout.created", "rollout.started", "rollout.planned", "wave.released", "wave.passed", "wave.released",
        "wave.passed", "rollout.completed",
    ]  # fmt: skip
    assert DeviceEvent.objects.filter(device=agents[0].device, kind="deployment.proven").count() == 1


def test_reconciling_again_changes_nothing(operator: Person, organization: Organization, agents: list[Agent]) -> None:
    rollout = start(operator, version_make(organization))
    for _ in range(3):
        tick()
    before = (states(rollout), RolloutEvent.objects.count(), Wave.objects.count(), Action.objects.count())
    tick(0.1)
    assert (states(rollout), RolloutEvent.objects.count(), Wave.objects.count(), Action.objects.count()) == before


def test_an_unchanged_poll_is_304_and_a_released_wave_changes_the_etag(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    agent = agents[0]
    first = agent.poll()
    assert first.status_code == 200
    assert agent.poll(first.headers["etag"]).status_code == 304
    start(operator, version_make(organization), strategy="all_at_once")
    tick()
    assert wait_for(lambda: agent.poll(first.headers["etag"]).status_code == 200)
    shown = agent.poll()
    assert agent.poll(shown.headers["etag"]).status_code == 304


def test_two_polls_at_once_make_one_action(operator: Person, organization: Organization, agents: list[Agent]) -> None:
    start(operator, version_make(organization), strategy="all_at_once")
    tick()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: agents[0].poll(), range(16)))
    assert Action.objects.filter(device=agents[0].device).count() == 1
    assert agents[0].wait_offered() == 1


def test_a_device_that_lies_about_its_version_never_counts(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    old = version_make(organization, "1.0.0")
    digest = old.variants.get().artifact.sha256
    for agent in agents:
        installed_make(agent.device, old)
        agent.running["digits"] = ("1.0.0", digest)
    rollout = start(operator, version_make(organization, "1.1.0"), timeouts={"proof_s": 10})
    tick()
    liar = agents_of(rollout, agents, 1)[0]
    liar.install(liar.wait_offered(), lies=True)
    liar.report()
    liar.report()
    deployment = Deployment.objects.get(rollout=rollout, device=liar.device)
    assert (deployment.state, deployment.evidence, deployment.reason_code) == ("probation", "claimed", "conflict")
    assert DeviceEvent.objects.filter(device=liar.device, kind="deployment.conflict").count() == 1
    assert InstalledModel.objects.get(device=liar.device).version == "1.0.0"
    tick(20)
    assert state(rollout) == "running", "an unproven canary holds"
    tick(4000)
    assert state(rollout) == "needs_decision"


def test_a_forged_or_foreign_report_is_refused(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    agent, other = agents[:2]
    agent.update()
    assert agent.report(key=other.key).status_code == 403
    assert agent.report(controller_id=other.cid).status_code == 403
    answer = agent.door.post(f"{agent.agent_base}/reports", json={"report": "x.y.z"}, headers=agent.headers)
    assert answer.status_code == 403
    assert states(rollout)[agent.cid] == "probation"


@pytest.mark.parametrize(
    "bad",
    [{"self_test": "failed"}, {"self_test": "not_run"}, {"clean": None}, {"clean": False}, {"seconds": 3.0}],
)
def test_only_a_passed_self_test_and_a_clean_soak_attest(
    operator: Person, organization: Organization, agents: list[Agent], bad: dict[str, Any]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once", soak_s=60)
    tick()
    agent = agents[0]
    agent.update()
    assert agent.report().status_code == 200
    assert states(rollout)[agent.cid] == "probation", "the soak is not over"
    with advanced(timedelta(seconds=61)):
        agent.report(**bad)
        assert states(rollout)[agent.cid] == "probation"
        agent.report()
        assert states(rollout)[agent.cid] == "proven"


def test_a_failed_attempt_is_tried_again_and_then_has_failed(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    agent = agents[0]
    number = agent.wait_offered()
    agent.deployment(number)
    assert agent.feedback(number, "closed", "failure", "digest_mismatch", "bytes differ").status_code == 200
    assert agent.feedback(number, "proceeding", "none").status_code == 410
    row = Deployment.objects.get(rollout=rollout, device=agent.device)
    assert (row.state, row.reason_code, row.attempt) == ("retry_wait", "digest_mismatch", 1)
    assert agent.offered() is None
    tick(61)
    second = agent.wait_offered()
    assert second == number + 1
    agent.feedback(second, "closed", "failure", "digest_mismatch")
    row.refresh_from_db()
    assert (row.state, row.reason_code, row.attempt) == ("failed", "digest_mismatch", 2)


def test_a_failed_self_test_is_not_tried_again(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    agents[0].feedback(agents[0].wait_offered(), "closed", "failure", "self_test_failed")
    assert states(rollout)[agents[0].cid] == "failed"


def test_a_device_that_goes_back_by_itself_has_failed(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    old = version_make(organization, "1.0.0")
    digest = old.variants.get().artifact.sha256
    for agent in agents:
        installed_make(agent.device, old)
    rollout = start(operator, version_make(organization, "1.1.0"), strategy="all_at_once")
    tick()
    agents[0].update()
    agents[0].running["digits"] = ("1.0.0", digest)
    agents[0].report(clean=False)
    row = Deployment.objects.get(rollout=rollout, device=agents[0].device)
    assert (row.state, row.reason_code) == ("failed", "runtime_error")
    assert InstalledModel.objects.get(device=agents[0].device).version == "1.0.0"


def test_too_many_failures_halt_and_roll_back_with_a_reason(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    old = version_make(organization, "1.0.0")
    old_digest = old.variants.get().artifact.sha256
    for agent in agents:
        installed_make(agent.device, old)
        agent.running["digits"] = ("1.0.0", old_digest)
    rollout = start(operator, version_make(organization, "1.1.0"), strategy="all_at_once", max_failed_percent=20)
    tick()
    good, *bad = agents[:3]
    rest = agents[3:]
    good.update()
    good.report()
    assert states(rollout)[good.cid] == "proven"
    for agent in bad:
        agent.feedback(agent.wait_offered(), "closed", "failure", "self_test_failed")
    tick(2)
    row = Rollout.objects.get(pk=rollout.pk)
    assert row.state == "halted"
    assert row.halt_reason is not None
    assert (row.halt_reason["gate"], row.halt_reason["metric"]) == ("failed deployments", "failed_deployments")
    assert "2 of 5 devices failed" in row.halt_reason["text"]
    tick(4)
    assert state(rollout) == "rolling_back"
    assert {states(rollout)[agent.cid] for agent in rest} == {"cancelled"}
    assert states(rollout)[good.cid] == "restoring"
    chunk = good.update()
    assert chunk["version"] == "1.0.0"
    assert {entry["key"]: entry["value"] for entry in chunk["metadata"]}["flotilla.kind"] == "restore"
    assert states(rollout)[good.cid] == "restoring", "closed is a claim"
    assert good.offered() is None, "a restore that was done is not asked for again"
    good.report()
    assert states(rollout)[good.cid] == "rolled_back"
    tick(6)
    assert state(rollout) == "rolled_back"
    assert InstalledModel.objects.get(device=good.device).digest == old_digest
    assert GateResult.objects.filter(rollout=rollout).exists()


def test_the_first_version_of_a_model_is_taken_back_by_removing_it(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    agent = agents[0]
    agent.update()
    agent.report()
    rollout_rollback(caller=operator.caller, rollout_id=rollout.public_id, reason="wrong model")
    tick(2)
    chunk = agent.update()
    assert (chunk["version"], chunk["artifacts"]) == ("", [])
    metadata = {entry["key"]: entry["value"] for entry in chunk["metadata"]}
    assert (metadata["flotilla.kind"], metadata["flotilla.digest"]) == ("remove", "")
    agent.report()
    assert states(rollout)[agent.cid] == "rolled_back"
    assert not InstalledModel.objects.filter(device=agent.device).exists()
    tick(4)
    assert state(rollout) == "rolled_back"


def proven_first_model(operator: Person, organization: Organization, agent: Agent) -> Rollout:
    """A first model on one device, which is asked to give it up."""
    rollout = start(operator, version_make(organization), strategy="all_at_once", evidence_required="observed")
    tick()
    agent.update()
    agent.attributes(**{"model.digits": "1.0.0"})
    assert states(rollout)[agent.cid] == "proven"
    rollout_rollback(caller=operator.caller, rollout_id=rollout.public_id, reason="wrong model")
    tick(2)
    return rollout


def test_a_client_that_does_not_know_removals_is_asked_once_and_keeps_the_model(
    operator: Person, organization: Organization, door: Door
) -> None:
    """rauc-hawkbit-updater and SWUpdate close a deployment without files as a failure, in words of their own."""
    agent = Agent(door, organization, can_sign=False)
    rollout = proven_first_model(operator, organization, agent)
    number = agent.wait_offered()
    body = agent.deployment(number)
    assert (body["download"], body["update"], body["chunks"][0]["artifacts"]) == ("forced", "forced", [])
    agent.feedback(number, "closed", "failure", "Failed to parse artifacts.")
    row = Deployment.objects.get(rollout=rollout, device=agent.device)
    assert (row.state, row.reason_code) == ("restore_failed", "unsupported_deployment")
    assert InstalledModel.objects.filter(device=agent.device).exists(), "it keeps what it runs"
    tick(4)
    assert state(rollout) == "rolled_back"
    assert "1 device could not go back" in RolloutEvent.objects.filter(rollout=rollout).latest("id").text
    assert agent.offered() is None


def test_a_client_that_cannot_sign_says_by_its_attributes_that_the_model_is_gone(
    operator: Person, organization: Organization, door: Door
) -> None:
    agent = Agent(door, organization, can_sign=False)
    rollout = proven_first_model(operator, organization, agent)
    agent.update()
    agent.attributes(site="ward 3")
    assert states(rollout)[agent.cid] == "restoring", "1.0.0 is still what it named last"
    agent.attributes(**{"model.digits": ""})
    assert states(rollout)[agent.cid] == "rolled_back"
    assert not InstalledModel.objects.filter(device=agent.device).exists()


def test_a_device_that_claims_to_have_gone_back_and_never_proves_it_ends_the_wait(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once", timeouts={"proof_s": 60})
    tick()
    agent, away = agents[:2]
    for each in (agent, away):
        each.update()
        each.report()
    rollout_rollback(caller=operator.caller, rollout_id=rollout.public_id, reason="wrong model")
    tick(2)
    for each in (agent, away):
        each.install(each.wait_offered(), lies=True)
        each.report()
    assert states(rollout)[agent.cid] == "restoring", "it still reports the version"
    said_at = now()
    assert wait_for(lambda: Device.objects.filter(pk=away.device.pk, last_seen_at__gte=said_at).exists())
    with advanced(timedelta(seconds=50)):
        tick()
        assert state(rollout) == "rolling_back"
    with advanced(timedelta(seconds=70)):
        Device.objects.filter(pk=away.device.pk).update(last_seen_at=now() - timedelta(days=1))
        tick()
        assert states(rollout)[away.cid] == "restoring", "a device that is away has its time when it returns"
        row = Deployment.objects.get(rollout=rollout, device=agent.device)
        assert (row.state, row.reason_code) == ("restore_failed", "not_proven")
        tick()
        assert state(rollout) == "rolled_back"


def test_a_restore_that_is_fetched_and_never_ended_is_asked_for_again(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once", timeouts={"progress_s": 30})
    tick()
    agent = agents[0]
    agent.update()
    agent.report()
    rollout_rollback(caller=operator.caller, rollout_id=rollout.public_id, reason="wrong model")
    tick(2)
    number = agent.wait_offered()
    agent.deployment(number)
    tick(20)
    assert agent.offered() == number
    tick(40)
    assert states(rollout)[agent.cid] == "restoring"
    assert wait_for(lambda: agent.offered() is None), "its next attempt waits"
    tick(200)
    assert agent.wait_offered() > number
    agent.update()
    agent.report()
    assert states(rollout)[agent.cid] == "rolled_back"


def test_a_cancel_reaches_a_device_that_has_begun(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    begun, waiting = agents[:2]
    number = begun.wait_offered()
    begun.deployment(number)
    begun.feedback(number, "proceeding", "none", "downloading")
    waiting.wait_offered()
    rollout_cancel(caller=operator.caller, rollout_id=rollout.public_id, reason="not today")
    tick()
    assert states(rollout)[waiting.cid] == "cancelled"
    assert states(rollout)[begun.cid] == "cancelling"
    assert wait_for(lambda: "cancelAction" in begun.links())
    assert "deploymentBase" not in begun.links()
    body = begun.get(f"{begun.base}/cancelAction/{number}").json()
    assert body == {"id": str(number), "cancelAction": {"stopId": str(number)}}
    assert begun.get(f"{begun.base}/deploymentBase/{number}").status_code == 404
    assert begun.feedback(number, "closed", "success", cancel=True).status_code == 200
    assert states(rollout)[begun.cid] == "cancelled"
    tick(2)
    assert state(rollout) == "cancelled"
    assert set(states(rollout).values()) == {"cancelled"}


def test_a_device_may_refuse_a_cancel_and_what_it_then_runs_is_taken_back(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    agent = agents[0]
    number = agent.wait_offered()
    agent.deployment(number)
    agent.feedback(number, "proceeding", "none", "installing")
    rollout_rollback(caller=operator.caller, rollout_id=rollout.public_id, reason="stop")
    tick()
    assert agent.feedback(number, "rejected", cancel=True).status_code == 200
    assert states(rollout)[agent.cid] == "installing"
    tick(2)
    assert states(rollout)[agent.cid] == "installing", "it is not asked again"
    agent.install(number)
    assert states(rollout)[agent.cid] == "restoring"
    agent.update()
    agent.report()
    assert states(rollout)[agent.cid] == "rolled_back"


def test_success_on_a_cancelled_action_is_unproven(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    """SWUpdate reads the cancel as a deployment and closes it with success."""
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    agent = agents[0]
    number = agent.wait_offered()
    agent.deployment(number)
    rollout_cancel(caller=operator.caller, rollout_id=rollout.public_id)
    tick()
    assert agent.feedback(number, "closed", "success").status_code == 200
    row = Deployment.objects.get(rollout=rollout, device=agent.device)
    assert (row.state, row.evidence) == ("probation", "claimed")


def test_a_paused_rollout_offers_nothing_new_and_goes_on_after_resuming(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    shown, fresh = agents[:2]
    number = shown.wait_offered()
    rollout_pause(caller=operator.caller, rollout_id=rollout.public_id, reason="night")
    assert wait_for(lambda: shown.offered() is None), "not fetched yet, so it is hidden"
    assert shown.get(f"{shown.base}/deploymentBase/{number}").status_code == 404
    assert fresh.offered() is None
    rollout_resume(caller=operator.caller, rollout_id=rollout.public_id)
    assert shown.wait_offered() >= number
    assert fresh.wait_offered() == 1


def test_an_offline_device_does_not_hold_a_rollout_and_is_served_when_it_comes(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    away = agents[0]
    Device.objects.filter(pk=away.device.pk).update(last_seen_at=now() - timedelta(days=1))
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    for agent in agents[1:]:
        agent.update()
        agent.report()
    tick(2)
    assert state(rollout) == "completed"
    assert states(rollout)[away.cid] == "planned"
    away.update()
    away.report()
    assert states(rollout)[away.cid] == "proven"


def test_a_silent_download_times_out_and_is_tried_again(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once", timeouts={"progress_s": 30})
    tick()
    agent = agents[0]
    number = agent.wait_offered()
    agent.deployment(number)
    agent.feedback(number, "proceeding", "none", "downloading")
    tick(20)
    assert states(rollout)[agent.cid] == "downloading"
    tick(40)
    assert states(rollout)[agent.cid] == "retry_wait"
    assert agent.feedback(number, "closed", "success").status_code == 410


def test_a_client_that_cannot_sign_is_observed_by_its_attributes_after_the_soak(
    operator: Person, organization: Organization, door: Door
) -> None:
    agent = Agent(door, organization, can_sign=False)
    rollout = start(
        operator, version_make(organization), strategy="all_at_once", evidence_required="observed", soak_s=30
    )
    tick()
    agent.update()
    assert wait_for(lambda: "configData" in agent.links())
    agent.attributes(**{"model.digits": "1.0.0"})
    assert states(rollout)[agent.cid] == "probation", "the soak is not over"
    assert wait_for(lambda: "configData" not in agent.links())
    with advanced(timedelta(seconds=31)):
        tick()
        assert wait_for(lambda: "configData" in agent.links()), "asked again after the soak"
        agent.attributes(**{"model.digits": "1.0.0"})
    row = Deployment.objects.get(rollout=rollout, device=agent.device)
    assert (row.state, row.evidence) == ("proven", "observed")
    assert "agent" not in agent.links()


def test_a_person_decides_when_patience_ends(operator: Person, organization: Organization, agents: list[Agent]) -> None:
    rollout = start(operator, version_make(organization), patience_s=60)
    tick()
    tick(30)
    assert state(rollout) == "running"
    tick(61)
    assert state(rollout) == "needs_decision"
    rollout_resume(caller=operator.caller, rollout_id=rollout.public_id, reason="the canary is in repair")
    tick(62)
    assert Rollout.objects.get(pk=rollout.pk).released_wave == 2


def test_a_newer_rollout_takes_the_place_of_what_an_older_one_left_open(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    away = agents[0]
    Device.objects.filter(pk=away.device.pk).update(last_seen_at=now() - timedelta(days=1))
    first = start(operator, version_make(organization, "1.0.0"), strategy="all_at_once")
    tick()
    for agent in agents[1:]:
        agent.update()
        agent.report()
    tick(2)
    assert state(first) == "completed"
    second = start(operator, version_make(organization, "1.1.0"), strategy="all_at_once")
    tick(4)
    assert states(first)[away.cid] == "cancelled"
    assert states(second)[away.cid] == "planned"
    assert away.update()["version"] == "1.1.0"


def test_devices_of_a_running_rollout_are_left_alone_by_another(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    start(operator, version_make(organization, "1.0.0"))
    tick()
    second = rollout_create(
        caller=operator.caller, name="r2", version_id=version_make(organization, "1.1.0").public_id,
        strategy="all_at_once", selector={}, policy=QUICK,
    )  # fmt: skip
    with pytest.raises(PlanRefusedError):
        rollout_start(caller=operator.caller, rollout_id=second.public_id)


def test_one_failing_rollout_does_not_stop_the_rest(
    operator: Person, organization: Organization, outsider: Person, agents: list[Agent], door: Door
) -> None:
    broken = start(operator, version_make(organization))
    Rollout.objects.filter(pk=broken.pk).update(policy={"soak_s": "soon"})
    Agent(door, outsider.organization)
    sound = start(outsider, version_make(outsider.organization))
    tick()
    assert state(broken) in {"planning", "draft"}
    assert state(sound) == "running"


def test_with_more_rollouts_than_a_pass_takes_each_has_its_turn(
    operator: Person, organization: Organization, agents: list[Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the others do: two wait for a person without end, and one fails at every look."""
    monkeypatch.setattr("rollouts.services.reconcile._ROLLOUTS_MAX", 2)
    first, *others = [start(operator, version_make(organization, model=f"model-{n}")) for n in range(6)]
    for turn in range(3):
        tick(turn)
    assert {state(rollout) for rollout in (first, *others)} == {"running"}
    for rollout in others[:2]:
        rollout_halt(caller=operator.caller, rollout_id=rollout.public_id, reason="for good")
    Rollout.objects.filter(pk=first.pk).update(policy={"soak_s": "soon"})
    last = start(operator, version_make(organization, model="model-last"))
    for turn in range(3, 8):
        tick(turn)
    assert state(last) == "running"


def test_one_deployment_that_cannot_be_moved_does_not_hold_up_those_due_with_it(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    broken = start(operator, version_make(organization, model="one"), strategy="all_at_once", timeouts={"proof_s": 60})
    tick()
    agent = agents[0]
    agent.update()
    agent.report()
    rollout_rollback(caller=operator.caller, rollout_id=broken.public_id, reason="wrong model")
    tick(2)
    agent.install(agent.wait_offered(), lies=True)
    sound = start(operator, version_make(organization, model="two"), strategy="all_at_once")
    tick()
    agent.feedback(agent.wait_offered(), "closed", "failure", "download_failed")
    # A policy this release cannot read, in the one that is due first.
    Rollout.objects.filter(pk=broken.pk).update(policy={"soak_s": "soon"})
    assert (states(broken)[agent.cid], states(sound)[agent.cid]) == ("restoring", "retry_wait")
    tick(70)
    assert (states(broken)[agent.cid], states(sound)[agent.cid]) == ("restoring", "offered")


# --- What else may happen meanwhile -----------------------------------------------------------------------
def test_a_quarantined_device_holds_neither_a_wave_nor_a_rollback(
    owner: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(owner, version_make(organization))
    tick()
    (canary,) = agents_of(rollout, agents, 1)
    number = canary.wait_offered()
    canary.deployment(number)
    canary.feedback(number, "proceeding", "none", "installing")
    tick(2)
    assert owner.get(f"/api/v1/rollouts/{rollout.public_id}/").json()["next"]["text"].startswith("Waiting for devices")
    device_quarantine(caller=owner.caller, device_id=canary.device.public_id, reason="it was stolen")
    assert "Waiting" not in owner.get(f"/api/v1/rollouts/{rollout.public_id}/").json()["next"]["text"]
    tick(4)
    assert state(rollout) == "running"
    assert Rollout.objects.get(pk=rollout.pk).released_wave == 1, "nobody has proven anything"
    rollout_rollback(caller=owner.caller, rollout_id=rollout.public_id, reason="stop")
    tick(6)
    tick(8)
    assert state(rollout) == "rolled_back"
    assert states(rollout)[canary.cid] == "cancelling", "it is served when it is accepted again"


def test_a_version_that_is_deprecated_goes_no_further(
    owner: Person, organization: Organization, agents: list[Agent]
) -> None:
    version = version_make(organization)
    rollout = start(owner, version)
    tick()
    (canary,) = agents_of(rollout, agents, 1)
    canary.update()
    version_deprecate(caller=owner.caller, version_id=version.public_id, reason="wrong labels")
    tick(2)
    row = Rollout.objects.get(pk=rollout.pk)
    assert (row.state, row.released_wave) == ("halted", 1)
    assert row.halt_reason == {
        "gate": "version", "metric": "deprecated", "text": "digits 1.0.0 was deprecated; devices that run it keep it.",
    }  # fmt: skip
    tick(4)
    assert state(rollout) == "halted", "devices keep it: nothing goes back by itself"
    answer = owner.post(f"/api/v1/rollouts/{rollout.public_id}/resume/", {"reason": "go on"})
    assert (answer.status_code, answer.json()["code"]) == (409, "rollouts.version_not_releasable")
    rollout_rollback(caller=owner.caller, rollout_id=rollout.public_id, reason="wrong labels")
    tick(6)
    canary.update()
    canary.report()
    tick(8)
    assert state(rollout) == "rolled_back"


def test_a_version_that_is_deprecated_before_it_is_planned_goes_back_to_draft(
    owner: Person, organization: Organization, agents: list[Agent]
) -> None:
    version = version_make(organization)
    rollout = start(owner, version)
    version_deprecate(caller=owner.caller, version_id=version.public_id, reason="wrong labels")
    tick()
    assert state(rollout) == "draft"
    assert "was deprecated" in RolloutEvent.objects.filter(rollout=rollout).latest("id").text


def test_a_restore_goes_before_another_models_install_that_was_not_fetched(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    agent = agents[0]
    bad = start(operator, version_make(organization, model="bad"), strategy="all_at_once")
    tick()
    agent.update()
    agent.report()
    other = start(operator, version_make(organization, model="other"), strategy="all_at_once")
    tick(1)
    waiting = agent.wait_offered()
    rollout_rollback(caller=operator.caller, rollout_id=bad.public_id, reason="it harms")
    tick(2)
    assert wait_for(lambda: (agent.offered() or 0) > waiting)
    assert agent.update()["name"] == "bad"
    agent.report()
    assert states(bad)[agent.cid] == "rolled_back"
    assert agent.update()["name"] == "other", "its turn comes again"
    agent.report()
    assert states(other)[agent.cid] == "proven"


def test_a_completed_rollout_is_not_taken_back_under_the_feet_of_its_successor(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    first = start(operator, version_make(organization, "1.0.0"), strategy="all_at_once")
    tick()
    for agent in agents:
        agent.update()
        agent.report()
    tick(2)
    assert state(first) == "completed"
    second = start(operator, version_make(organization, "1.1.0"))
    tick(4)
    with pytest.raises(RollbackRefusedError, match="is under way on devices of this rollout"):
        rollout_rollback(caller=operator.caller, rollout_id=first.public_id, reason="stop")
    assert state(first) == "completed"
    rollout_cancel(caller=operator.caller, rollout_id=second.public_id, reason="first things first")
    tick(6)
    tick(8)
    assert state(second) == "cancelled"
    rollout_rollback(caller=operator.caller, rollout_id=first.public_id, reason="stop")
    tick(10)
    assert set(states(first).values()) == {"restoring"}


def test_progress_sent_before_a_cancel_was_heard_changes_nothing(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    agent = agents[0]
    number = agent.wait_offered()
    agent.deployment(number)
    rollout_cancel(caller=operator.caller, rollout_id=rollout.public_id)
    tick()
    assert states(rollout)[agent.cid] == "cancelling"
    assert agent.feedback(number, "proceeding", "none", "installing").status_code == 200
    assert states(rollout)[agent.cid] == "cancelling"
    assert agent.feedback(number, "closed", "success", cancel=True).status_code == 200
    assert states(rollout)[agent.cid] == "cancelled"


def test_a_client_that_never_answers_a_cancel_holds_the_end_of_a_rollout_no_longer_than_its_silence_is_allowed(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    rollout = start(operator, version_make(organization), strategy="all_at_once", timeouts={"progress_s": 30})
    tick()
    deaf, away = agents[:2]
    for agent in (deaf, away):
        number = agent.wait_offered()
        agent.deployment(number)
        agent.feedback(number, "proceeding", "none", "downloading")
    rollout_cancel(caller=operator.caller, rollout_id=rollout.public_id)
    tick()
    Device.objects.filter(pk=away.device.pk).update(last_seen_at=now() - timedelta(days=1))
    tick(20)
    assert state(rollout) == "cancelling"
    tick(40)
    row = Deployment.objects.get(rollout=rollout, device=deaf.device)
    assert (row.state, row.reason_code) == ("failed", "cancel_not_answered")
    assert states(rollout)[away.cid] == "cancelling", "who was away hears of it on return"
    tick(41)
    assert state(rollout) == "cancelled"


def test_a_device_that_switches_while_the_rollback_passes_is_not_forgotten(
    operator: Person, organization: Organization, agents: list[Agent]
) -> None:
    """It was away for a day and holds its row, its answer half taken, just when the reconciler comes by."""
    rollout = start(operator, version_make(organization), strategy="all_at_once")
    tick()
    agent = agents[0]
    number = agent.wait_offered()
    agent.deployment(number)
    agent.feedback(number, "proceeding", "none", "installing")
    said_at = now()
    assert wait_for(lambda: Device.objects.filter(pk=agent.device.pk, last_seen_at__gte=said_at).exists())
    Device.objects.update(last_seen_at=now() - timedelta(days=1))
    rollout_rollback(caller=operator.caller, rollout_id=rollout.public_id, reason="stop")
    with ThreadPoolExecutor(1) as other, transaction.atomic():
        assert device_lock(agent.device.pk, organization.pk) is not None
        other.submit(_tick_and_close, 2).result(30)  # cancels what has not begun
        other.submit(_tick_and_close, 3).result(30)
    assert state(rollout) == "rolling_back"
    tick(4)
    assert states(rollout)[agent.cid] == "cancelling"


def _tick_and_close(after_s: float) -> None:
    try:
        tick(after_s)
    finally:
        connection.close()
