"""Why a device is not updated: the ordered answer, for every way there is not to be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from common.clock import now
from common.ids import uuid7
from fleet.models import Device
from models_registry.models import ModelVersion
from rollouts.models import Deployment, GateResult, Rollout, Wave
from tests.factories.fleet import device_make
from tests.factories.fleets import installed_make, version_make
from tests.factories.people import Person

KEYS = ["version", "selected", "wave", "contact", "update", "proof"]


@pytest.fixture
def device(viewer: Person) -> Device:
    return device_make(viewer.organization)


@pytest.fixture
def version(viewer: Person) -> ModelVersion:
    return version_make(viewer.organization, "1.1")


def rollout_make(version: ModelVersion, state: str = "running", **columns: Any) -> Rollout:
    rollout = Rollout.objects.create(
        organization=version.organization,
        name="Digits 1.1",
        version=version,
        strategy="canary",
        state=state,
        salt="s",
        created_at=now(),
        **{"released_wave": 1, **columns},
    )
    Wave.objects.create(rollout=rollout, number=1, name="canary", released_at=now())
    Wave.objects.create(rollout=rollout, number=2, name="the rest")
    return rollout


def deploy(rollout: Rollout, device: Device, state: str, *, wave: int = 1, **columns: Any) -> Deployment:
    return Deployment.objects.create(
        rollout=rollout,
        device=device,
        wave=wave,
        variant=rollout.version.variants.first(),
        state=state,
        state_at=now(),
        **columns,
    )


def why(person: Person, device: Device, version: ModelVersion | None = None) -> dict[str, Any]:
    query = f"?version_id={version.public_id}" if version else ""
    answer = person.get(f"/api/v1/devices/{device.public_id}/why/{query}")
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def stands_at(body: dict[str, Any]) -> tuple[str, str, str]:
    """The first step that is not done: key, state, text; what is before is done, what follows is next."""
    assert [step["key"] for step in body["steps"]] == KEYS
    at = next(index for index, step in enumerate(body["steps"]) if step["state"] != "done")
    assert {step["state"] for step in body["steps"][at + 1 :]} <= {"next"}
    step = body["steps"][at]
    return step["key"], step["state"], step["text"]


def test_a_device_nothing_was_planned_for_has_no_target(viewer: Person, device: Device) -> None:
    assert why(viewer, device) == {"target": None, "is_on_target": False, "steps": [], "next": None}


def test_without_a_version_the_newest_deployment_is_meant(
    viewer: Person, device: Device, version: ModelVersion
) -> None:
    rollout = rollout_make(version)
    deploy(rollout, device, "offered")

    body = why(viewer, device)

    assert body["target"] == {"model": "digits", "version": "1.1", "rollout_id": str(rollout.public_id)}
    assert stands_at(body)[0] == "update"


def test_a_proven_device_is_on_target(viewer: Person, device: Device, version: ModelVersion) -> None:
    deploy(rollout_make(version), device, "proven", evidence="attested")
    installed_make(device, version)

    body = why(viewer, device, version)

    assert (body["is_on_target"], body["next"]) == (True, None)
    assert {step["state"] for step in body["steps"]} == {"done"}
    assert "attested" in body["steps"][-1]["text"]


def test_a_device_no_rollout_chose_waits_for_one(viewer: Person, device: Device, version: ModelVersion) -> None:
    assert stands_at(why(viewer, device, version))[:2] == ("selected", "waiting")


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({"state": "validating"}, "waiting"),
        ({"state": "invalid"}, "failed"),
        ({"approval": "requested"}, "waiting"),
        ({"approval": "declined"}, "failed"),
    ],
)
def test_a_version_that_may_not_roll_out_is_the_reason(
    viewer: Person, device: Device, columns: dict[str, str], state: str
) -> None:
    version = version_make(viewer.organization, "1.2", **columns)

    assert stands_at(why(viewer, device, version))[:2] == ("version", state)


@pytest.mark.parametrize(
    "case",
    [
        ("running", {"state": "skipped", "wave": 0, "reason_code": "no_variant"}, ("selected", "failed", "no variant")),
        ("running", {"state": "planned", "wave": 2}, ("wave", "waiting", "wave 2")),
        ("paused", {"state": "planned", "wave": 2}, ("wave", "waiting", "paused")),
        ("halted", {"state": "planned", "wave": 2}, ("wave", "failed", "It is bad.")),
        ("halted", {"state": "cancelled", "wave": 2}, ("wave", "failed", "It is bad.")),
        ("running", {"state": "planned"}, ("update", "waiting", "not asked")),
        ("running", {"state": "downloading"}, ("update", "waiting", "downloading")),
        ("running", {"state": "failed", "reason_code": "digest_mismatch"}, ("update", "failed", "digest mismatch")),
        (
            "running",
            {"state": "failed", "reason_code": "runtime_error", "installed_at": "now"},
            ("proof", "failed", "runtime error"),
        ),
        ("running", {"state": "probation"}, ("proof", "waiting", "probation")),
        ("rolling_back", {"state": "restoring"}, ("proof", "failed", "It is bad.")),
        ("rolled_back", {"state": "rolled_back"}, ("proof", "failed", "taken back")),
        (
            "rolled_back",
            {"state": "restore_failed", "reason_code": "unsupported_deployment"},
            ("proof", "failed", "could not be taken back: unsupported deployment"),
        ),
    ],
)
def test_each_state_stands_at_its_step(
    viewer: Person,
    device: Device,
    version: ModelVersion,
    case: tuple[str, dict[str, Any], tuple[str, str, str]],
) -> None:
    rollout_state, deployment, expected = case
    halt_reason = {"gate": "g", "metric": "m", "text": "It is bad."} if rollout_state[0] in "hr" else None
    rollout = rollout_make(version, rollout_state, halt_reason=halt_reason if rollout_state != "running" else None)
    if deployment.get("installed_at"):
        deployment = {**deployment, "installed_at": now()}
    deploy(rollout, device, **deployment)

    body = why(viewer, device, version)
    key, state, text = stands_at(body)

    assert (key, state) == expected[:2]
    assert expected[2].lower() in text.lower()
    assert body["is_on_target"] is False
    assert (body["next"] is None) == (state == "failed")


def test_a_retry_says_when(viewer: Person, device: Device, version: ModelVersion) -> None:
    at = now() + timedelta(minutes=2)
    deploy(rollout_make(version), device, "retry_wait", reason_code="download_failed", retry_at=at)

    body = why(viewer, device, version)

    assert stands_at(body)[:2] == ("update", "waiting")
    assert body["next"]["at"] == at.isoformat().replace("+00:00", "Z")


def test_an_offline_or_quarantined_device_waits_for_contact(viewer: Person, version: ModelVersion) -> None:
    rollout = rollout_make(version)
    offline = device_make(viewer.organization, last_seen_at=now() - timedelta(hours=1))
    quarantined = device_make(viewer.organization, state="quarantined")
    gone = device_make(viewer.organization, state="decommissioned")
    for each in (offline, quarantined, gone):
        deploy(rollout, each, "planned")

    assert stands_at(why(viewer, offline))[:2] == ("contact", "waiting")
    assert stands_at(why(viewer, quarantined))[:2] == ("contact", "waiting")
    assert stands_at(why(viewer, gone))[:2] == ("contact", "failed")


def test_the_gate_that_holds_the_wave_is_named(viewer: Person, device: Device, version: ModelVersion) -> None:
    rollout = rollout_make(version)
    deploy(rollout, device, "planned", wave=2)
    for minutes, verdict, text in ((5, "pass", "Fine."), (1, "not_enough_data", "3 of 5 devices have reported.")):
        GateResult.objects.create(
            rollout=rollout,
            wave=1,
            gate="latency",
            metric="latency_ms_p95",
            verdict=verdict,
            control="matched",
            text=text,
            at=now() - timedelta(minutes=minutes),
        )

    assert "3 of 5 devices" in stands_at(why(viewer, device, version))[2]


def test_what_does_not_exist_or_is_anothers_is_a_404(
    viewer: Person, outsider: Person, device: Device, version: ModelVersion
) -> None:
    address = f"/api/v1/devices/{device.public_id}/why/"
    theirs = device_make(outsider.organization)

    assert outsider.get(address).status_code == 404
    assert viewer.get(f"{address}?version_id={uuid7()}").status_code == 404
    assert outsider.get(f"/api/v1/devices/{theirs.public_id}/why/?version_id={version.public_id}").status_code == 404
    assert viewer.get(f"{address}?version_id=x").status_code == 400
