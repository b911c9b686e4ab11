"""The operators' door of rollouts."""

from __future__ import annotations

from typing import Any

import pytest

from common.clock import now
from governance.models import AuditEntry, Organization
from models_registry.models import Approval, ModelVersion, VersionState
from rollouts.models import Deployment, GateResult, Rollout
from rollouts.services.reconcile import rollout_reconcile
from tests.factories.fleets import device_make, devices_make, installed_make, version_make
from tests.factories.people import Person

pytestmark = pytest.mark.django_db
URL = "/api/v1/rollouts/"


@pytest.fixture
def version(organization: Organization) -> ModelVersion:
    devices_make(organization, 20)
    return version_make(organization)


def body(version: ModelVersion, /, **values: Any) -> dict[str, Any]:
    return {"name": "first", "version": str(version.public_id), "strategy": "canary", "policy": {"gates": []}, **values}


def made(person: Person, version: ModelVersion, **values: Any) -> str:
    answer = person.post(URL, body(version, **values))
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def plan(rollout_id: str) -> None:
    rollout_reconcile(rollout_id=Rollout.objects.get(public_id=rollout_id).pk, now=now())


def test_a_rollout_is_made_as_a_draft_with_its_whole_policy(operator: Person, version: ModelVersion) -> None:
    answer = operator.post(URL, body(version, policy={"soak_s": 5}))
    assert answer.status_code == 201
    rollout = answer.json()
    assert rollout["state"] == "draft"
    assert (rollout["model"], rollout["version"]) == ("digits", "1.0.0")
    assert rollout["policy"]["soak_s"] == 5
    assert rollout["policy"]["patience_s"] == 86_400
    assert rollout["selector"] == {"regions": [], "hardware_profiles": [], "sites": [], "labels": {}, "models": []}
    assert rollout["halt_reason"] is None
    assert AuditEntry.objects.get(action="rollout.create").object_id == rollout["id"]


def test_it_starts_is_planned_and_shows_its_waves(operator: Person, version: ModelVersion) -> None:
    rollout_id = made(operator, version)
    answer = operator.post(f"{URL}{rollout_id}/start/")
    assert answer.status_code == 200
    assert answer.json()["state"] == "planning"
    plan(rollout_id)
    rollout = operator.get(f"{URL}{rollout_id}/").json()
    assert rollout["state"] == "running"
    assert rollout["released_wave"] == 1
    assert rollout["counts"] == {"planned": 20}
    assert sum(wave["device_count"] for wave in rollout["waves"]) == 20
    assert rollout["waves"][0]["released_at"] is not None
    assert rollout["next"]["text"].startswith("Waiting for devices: 1 device of wave 1 on the way")
    events = operator.get(f"{URL}{rollout_id}/events/").json()["results"]
    assert events[0]["kind"] == "wave.released"
    again = operator.post(f"{URL}{rollout_id}/start/")
    assert (again.status_code, again.json()["code"]) == (409, "rollouts.invalid_transition")


def test_a_preview_shows_waves_and_who_is_left_out(
    operator: Person, organization: Organization, version: ModelVersion
) -> None:
    new = version_make(organization, "1.1.0")
    ran = device_make(organization, region="south", hardware="gpu")
    installed_make(ran, version)
    installed_make(device_make(organization), new)
    answer = operator.post(f"{URL}preview/", body(new))
    assert answer.status_code == 200, answer.content
    preview = answer.json()
    assert preview["device_count"] == 21
    assert preview["left_out"] == [{"reason_code": "already_running", "text": "run this version already", "count": 1}]
    assert preview["waves"][0]["by_region"]["south"] == 1
    assert {row["version"]: row["device_count"] for row in preview["current_versions"]} == {None: 20, "1.0.0": 1}
    assert preview["size_bytes_total"] == 21 * new.variants.get().artifact.size_bytes
    assert not Deployment.objects.exists()


def test_a_preview_warns_of_what_starting_would_refuse(operator: Person, version: ModelVersion) -> None:
    gate = {"name": "speed", "metric": "latency_p95", "harm_bound": 0.2}
    preview = operator.post(f"{URL}preview/", body(version, policy={"gates": [gate]})).json()
    assert "no control and no history" in preview["warnings"][0]
    rollout_id = made(operator, version, policy={"gates": [gate]})
    answer = operator.post(f"{URL}{rollout_id}/start/")
    assert (answer.status_code, answer.json()["code"]) == (409, "rollouts.plan_refused")
    assert "policy.gates[0]" in answer.json()["fields"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"policy": {"canary_percent": 0}}, "policy.canary_percent"),
        ({"policy": {"canary_percent": 80}}, "policy.canary_percent"),
        ({"policy": {"sok_s": 5}}, "policy"),
        ({"policy": {"gates": [{"name": "x", "metric": "happiness", "ceiling": 1}]}}, "policy.gates[0].metric"),
        ({"policy": {"gates": [{"name": "x", "metric": "error_rate"}]}}, "policy.gates[0]"),
        ({"policy": {"waves": [50, 20]}}, "policy"),
        ({"policy": {"soak_s": -1}}, "policy.soak_s"),
        ({"policy": {"soak_s": "long"}}, "policy.soak_s"),
        ({"policy": []}, "policy"),
        ({"selector": {"regions": "north"}}, "selector.regions"),
        ({"selector": {"colour": "red"}}, "selector"),
        ({"strategy": "hope"}, "strategy"),
        ({"name": ""}, "name"),
        ({"version": "1.0"}, "version"),
        ({"version": "01890000-0000-7000-8000-000000000000"}, "version"),
    ],
)
def test_what_is_wrong_is_named(operator: Person, version: ModelVersion, changed: dict[str, Any], field: str) -> None:
    answer = operator.post(URL, body(version, **changed))
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["fields"], answer.json()
    assert not Rollout.objects.exists()


@pytest.mark.parametrize(
    "values", [{"state": VersionState.DRAFT}, {"approval": Approval.DECLINED}, {"state": VersionState.DEPRECATED}]
)
def test_only_ready_and_approved_versions_roll_out(
    operator: Person, version: ModelVersion, values: dict[str, str]
) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(**values)
    answer = operator.post(URL, body(version))
    assert (answer.status_code, answer.json()["code"]) == (409, "rollouts.version_not_releasable")


def test_the_moves_of_a_person_are_audited_with_their_reason(operator: Person, version: ModelVersion) -> None:
    rollout_id = made(operator, version)
    operator.post(f"{URL}{rollout_id}/start/")
    plan(rollout_id)
    for verb, state in (("pause", "paused"), ("resume", "running"), ("halt", "halted"), ("rollback", "rolling_back")):
        answer = operator.post(f"{URL}{rollout_id}/{verb}/", {"reason": f"because of {verb}"})
        assert answer.status_code == 200, answer.content
        assert answer.json()["state"] == state
        entry = AuditEntry.objects.get(action=f"rollout.{verb}")
        assert entry.reason == f"because of {verb}"
    assert operator.get(f"{URL}{rollout_id}/").json()["halt_reason"]["gate"] == "person"


@pytest.mark.parametrize("verb", ["halt", "rollback"])
def test_stopping_needs_a_reason(operator: Person, version: ModelVersion, verb: str) -> None:
    rollout_id = made(operator, version)
    answer = operator.post(f"{URL}{rollout_id}/{verb}/", {"reason": " "})
    assert answer.status_code == 400
    assert "reason" in answer.json()["fields"]


def test_a_draft_can_be_cancelled_and_then_nothing_more(operator: Person, version: ModelVersion) -> None:
    rollout_id = made(operator, version)
    assert operator.post(f"{URL}{rollout_id}/cancel/").json()["state"] == "cancelled"
    assert operator.post(f"{URL}{rollout_id}/start/").status_code == 409


def test_a_viewer_may_look_and_preview_and_not_act(viewer: Person, operator: Person, version: ModelVersion) -> None:
    rollout_id = made(operator, version)
    assert viewer.get(f"{URL}{rollout_id}/").status_code == 200
    assert viewer.post(f"{URL}preview/", body(version)).status_code == 200
    assert viewer.post(URL, body(version)).status_code == 403
    assert viewer.post(f"{URL}{rollout_id}/start/").status_code == 403


def test_another_organization_sees_nothing(outsider: Person, operator: Person, version: ModelVersion) -> None:
    rollout_id = made(operator, version)
    operator.post(f"{URL}{rollout_id}/start/")
    plan(rollout_id)
    assert outsider.get(URL).json()["results"] == []
    assert outsider.get("/api/v1/deployments/").json()["results"] == []
    for path in ("", "gates/", "events/"):
        assert outsider.get(f"{URL}{rollout_id}/{path}").status_code == 404
    for verb in ("start", "pause", "resume", "halt", "rollback", "cancel"):
        assert outsider.post(f"{URL}{rollout_id}/{verb}/", {"reason": "mine now"}).status_code == 404
    assert outsider.post(URL, body(version)).status_code == 400
    assert outsider.post(f"{URL}preview/", body(version)).status_code == 400
    assert outsider.get("/api/v1/deployments/", {"rollout": rollout_id}).json()["results"] == []


def test_lists_are_filtered_and_paged(operator: Person, version: ModelVersion) -> None:
    ids = [made(operator, version, name=f"r{index}") for index in range(3)]
    operator.post(f"{URL}{ids[0]}/cancel/")
    assert [row["id"] for row in operator.get(URL, {"state": "draft"}).json()["results"]] == [ids[2], ids[1]]
    assert operator.get(URL, {"model": "other"}).json()["results"] == []
    assert operator.get(URL, {"state": "happy"}).status_code == 400
    first = operator.get(URL, {"limit": 2}).json()
    assert first["next"].startswith("http://testserver/api/v1/rollouts/?")
    assert [row["id"] for row in operator.get(first["next"]).json()["results"]] == [ids[0]]


def test_deployments_are_listed_by_rollout_state_wave_and_device(operator: Person, version: ModelVersion) -> None:
    rollout_id = made(operator, version)
    operator.post(f"{URL}{rollout_id}/start/")
    plan(rollout_id)
    everything = operator.get("/api/v1/deployments/", {"rollout": rollout_id}).json()["results"]
    assert len(everything) == 20
    one = everything[0]
    assert one["rollout"] == {"id": rollout_id, "name": "first", "model": "digits", "version": "1.0.0"}
    assert one["device"]["hardware_profile"] == "cpu"
    mine = operator.get("/api/v1/deployments/", {"device": one["device"]["id"]}).json()["results"]
    assert [row["id"] for row in mine] == [one["id"]]
    assert len(operator.get("/api/v1/deployments/", {"wave": 1}).json()["results"]) == 1
    assert operator.get("/api/v1/deployments/", {"state": "proven"}).json()["results"] == []
    assert operator.get("/api/v1/deployments/", {"wave": "one"}).status_code == 400


def test_a_list_of_rollouts_costs_the_same_for_one_and_for_many(
    operator: Person, version: ModelVersion, django_assert_max_num_queries: Any
) -> None:
    for index in range(5):
        made(operator, version, name=f"r{index}")
    with django_assert_max_num_queries(12):
        operator.get(URL)


def test_gates_show_the_newest_result_of_each(operator: Person, version: ModelVersion) -> None:
    rollout_id = made(operator, version)
    rollout = Rollout.objects.get(public_id=rollout_id)
    for verdict in ("not_enough_data", "pass"):
        GateResult.objects.create(
            rollout=rollout, wave=1, gate="latency p95", metric="latency_p95", verdict=verdict, control="matched",
            estimate=0.02, low=-0.05, high=0.09, harm_bound=0.25, treated_count=5, control_count=9,
            text="fine", at=now(),
        )  # fmt: skip
    results = operator.get(f"{URL}{rollout_id}/gates/").json()["results"]
    assert [(row["gate"], row["verdict"], row["unit"]) for row in results] == [("latency p95", "pass", "relative")]


def test_a_device_holds_a_wave_for_thirty_polls_unless_the_policy_says_otherwise(
    operator: Person, version: ModelVersion, settings: Any
) -> None:
    settings.DEVICE_POLL_INTERVAL_S = 3

    def made_with(policy: dict[str, Any]) -> dict[str, Any]:
        timeouts: dict[str, Any] = operator.post(URL, body(version, policy=policy)).json()["policy"]["timeouts"]
        return timeouts

    assert operator.get(f"{URL}defaults/").json()["policy"]["timeouts"]["reachable_s"] == 90
    assert made_with({})["reachable_s"] == made_with({"timeouts": {"proof_s": 5}})["reachable_s"] == 90
    assert made_with({"timeouts": {"reachable_s": 7}})["reachable_s"] == 7


def test_defaults_are_a_policy_and_its_metrics(viewer: Person) -> None:
    answer = viewer.get(f"{URL}defaults/").json()
    assert answer["policy"]["canary_percent"] == 5
    assert {row["metric"] for row in answer["metrics"]} >= {"disagreement", "latency_p95", "error_rate"}
