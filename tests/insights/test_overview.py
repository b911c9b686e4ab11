"""The Overview: its figures against what was put in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from common.clock import advanced, frozen, now
from fleet.models import Device
from fleet.services.contact import devices_lost_detect, devices_seen_record
from fleet.services.events import device_event_append
from governance.models import Organization
from models_registry.models import ModelVersion
from rollouts.models import Deployment, Rollout, RolloutEvent, Wave
from telemetry.models import Alert, AlertRule
from tests.factories.fleet import device_make, site_make
from tests.factories.fleets import version_make
from tests.factories.people import Person

ADDRESS = "/api/v1/overview/"


def overview(person: Person) -> dict[str, Any]:
    answer = person.get(ADDRESS)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def joined(organization: Organization, **columns: Any) -> Device:
    """A device that has just enrolled, with the event that says so."""
    device = device_make(organization, **columns)
    device_event_append(device_id=device.pk, kind="device.enrolled")
    return device


def rollout_make(version: ModelVersion, **columns: Any) -> Rollout:
    rollout = Rollout.objects.create(
        **{
            "organization": version.organization,
            "name": f"{version.model.name} {version.version}",
            "version": version,
            "strategy": "canary",
            "state": "running",
            "released_wave": 1,
            "salt": "s",
            "created_at": now(),
            **columns,
        }
    )
    Wave.objects.create(rollout=rollout, number=1, name="canary 5 %", released_at=now())
    Wave.objects.create(rollout=rollout, number=2, name="the rest")
    return rollout


def deploy(rollout: Rollout, device: Device, state: str, *, wave: int = 1) -> Deployment:
    return Deployment.objects.create(
        rollout=rollout,
        device=device,
        wave=wave,
        variant=rollout.version.variants.first(),
        state=state,
        state_at=now(),
        proven_at=now() if state == "proven" else None,
        evidence="attested" if state == "proven" else "",
    )


def alert_make(
    organization: Organization, *, region: str = "north", severity: str = "warning", **columns: Any
) -> Alert:
    rule, _ = AlertRule.objects.get_or_create(
        organization=organization,
        name="drift",
        defaults={"kind": "drift", "threshold": 0.1, "severity": severity, "created_at": now()},
    )
    return Alert.objects.create(
        **{
            "organization": organization,
            "rule": rule,
            "fingerprint": str(Alert.objects.count()),
            "severity": severity,
            "title": f"{region} drifts",
            "text": "brightness",
            "subject": {"region": region, "model": "digits"},
            "opened_at": now(),
            "updated_at": now(),
            **columns,
        }
    )


def test_an_empty_fleet_knows_nothing_and_says_so(viewer: Person) -> None:
    body = overview(viewer)

    assert body["devices"]["total"] == 0
    assert body["figures"] == {
        "online_ratio": None,
        "proven_ratio": None,
        "proven_count": 0,
        "claimed_count": 0,
        "target_count": 0,
        "inference_rate_s": None,
        "error_ratio": None,
        "latency_ms_p95": None,
    }
    assert body["regions"] == body["attention"] == body["rollouts_in_flight"] == []
    assert {len(column) for column in body["figure_series"].values()} == {96}
    assert set(body["waiting"].values()) == set(body["counts"].values()) == {0}


def test_contact_over_the_day_is_what_it_was(viewer: Person) -> None:
    """One device all day; a second joins 12 h ago, is lost 6 h ago and back 3 h ago."""
    organization = viewer.organization
    at = now()
    site = site_make(organization, "harbour", "north")
    with frozen(at - timedelta(days=3)):
        first = joined(organization, site=site)
    with frozen(at - timedelta(hours=12)):
        second = joined(organization, site=site)
        devices_seen_record(device_ids=[first.pk])
    with frozen(at - timedelta(hours=6)):
        devices_seen_record(device_ids=[first.pk])
        assert devices_lost_detect() == 1
    with frozen(at - timedelta(hours=3)):
        assert devices_seen_record(device_ids=[first.pk, second.pk]) == 1
    with frozen(at):
        devices_seen_record(device_ids=[first.pk, second.pk])

        body = overview(viewer)

    ratios = body["figure_series"]["online_ratio"]
    # Point k stands at the end of quarter k: 48 is 12 h ago less a quarter.
    assert ratios[:47] == [1.0] * 47
    assert ratios[48:71] == [1.0] * 23
    assert ratios[72:83] == [0.5] * 11
    assert ratios[84:] == [1.0] * 12
    (north,) = body["regions"]
    assert north["hours"][:17] == ["ok"] * 17
    assert north["hours"][18:20] == ["warning"] * 2
    assert north["hours"][21:] == ["ok"] * 3
    assert (north["total"], north["online"], north["severity"], north["site_count"]) == (2, 2, None, 1)


def test_before_the_first_device_there_is_no_data(viewer: Person) -> None:
    site = site_make(viewer.organization, "harbour", "north")
    at = now()
    with frozen(at - timedelta(hours=2)):
        device = joined(viewer.organization, site=site)
    with frozen(at):
        devices_seen_record(device_ids=[device.pk])

        body = overview(viewer)

    assert body["figure_series"]["online_ratio"][0] is None
    assert body["figure_series"]["online_ratio"][-1] == 1.0
    assert body["regions"][0]["hours"][:21] == ["no_data"] * 21
    assert body["regions"][0]["hours"][-1] == "ok"


def test_regions_stand_worst_first_with_their_worst_sites(viewer: Person) -> None:
    organization = viewer.organization
    gone = now() - timedelta(hours=1)
    for number in range(5):
        device_make(organization, site=site_make(organization, f"south {number}", "south"))
    for number in range(4):
        columns = {"last_seen_at": gone, "contact_lost_at": gone} if number == 3 else {}
        device_make(organization, site=site_make(organization, f"north {number}", "north"), **columns)
    alert_make(organization, region="east", severity="critical")
    device_make(organization, site=site_make(organization, "east 0", "east"))

    regions = overview(viewer)["regions"]

    assert [(region["region"], region["severity"]) for region in regions] == [
        ("east", "critical"),
        ("north", "warning"),
        ("south", None),
    ]
    assert regions[1]["site_count"] == 4
    assert regions[1]["sites"][0]["site"] == "north 3"
    assert (len(regions[1]["sites"]), regions[1]["sites"][0]["severity"]) == (3, "critical")


def test_proof_counts_devices_on_what_they_are_meant_to_run(viewer: Person) -> None:
    organization = viewer.organization
    first, second = version_make(organization, "1.0"), version_make(organization, "1.1")
    devices = [device_make(organization) for _ in range(5)]
    at = now()
    with frozen(at - timedelta(hours=10)):
        old = rollout_make(first, state="completed")
        for device in devices[:4]:
            deploy(old, device, "proven")
    with frozen(at - timedelta(hours=5)):
        new = rollout_make(second)
        deploy(new, devices[0], "probation")
        deploy(new, devices[1], "rolled_back")
        deploy(new, devices[2], "failed")
        deploy(new, devices[3], "planned", wave=2)
        deploy(new, devices[4], "skipped", wave=0)
    with frozen(at):
        for device in devices:
            devices_seen_record(device_ids=[device.pk])
        body = overview(viewer)

    # Aimed at: 0, 1 and 2 by the new rollout, 3 still by the old one. Arrived: 1 (rolled back) and 3.
    figures = body["figures"]
    assert (figures["target_count"], figures["proven_count"], figures["claimed_count"]) == (4, 2, 1)
    assert figures["proven_ratio"] == 0.5
    ratios = body["figure_series"]["proven_ratio"]
    assert ratios[:55] == [None] * 55
    assert ratios[56:75] == [1.0] * 19
    assert ratios[76:] == [0.5] * 20


def test_attention_is_worst_first_and_names_what_changed_before(viewer: Person) -> None:
    organization = viewer.organization
    at = now()
    with frozen(at - timedelta(minutes=50)):
        rollout_make(version_make(organization, "1.1"), state="completed")
    with frozen(at - timedelta(minutes=30)):
        alert = alert_make(organization)
        alert_make(organization, region="south", silenced_until=at + timedelta(hours=1))
        alert_make(organization, region="west", state="resolved", resolved_at=now())
    with frozen(at - timedelta(minutes=10)):
        halted = rollout_make(
            version_make(organization, "1.2"),
            state="halted",
            halt_reason={"gate": "disagreement", "metric": "m", "text": "It answers differently."},
        )
        RolloutEvent.objects.create(rollout=halted, at=now(), kind="rollout.halted", text="Halted.")

    with frozen(at):
        items = overview(viewer)["attention"]

    assert [(item["kind"], item["id"], item["severity"]) for item in items] == [
        ("rollout", str(halted.public_id), "critical"),
        ("alert", str(alert.public_id), "warning"),
    ]
    assert items[0]["title"] == "digits 1.2 was halted"
    assert "It answers differently." in items[0]["text"]
    assert items[1]["before"] == "digits 1.1, canary 5 %, was released 20 min before."


def test_what_waits_for_a_person_is_counted(viewer: Person) -> None:
    organization = viewer.organization
    device_make(organization, state="pending")
    device_make(organization, state="quarantined", certificate_expires_at=now() + timedelta(days=3))
    version = version_make(organization, "1.0", approval="requested")
    rollout_make(version, state="needs_decision")
    alert_make(organization, severity="critical")

    body = overview(viewer)

    assert body["waiting"] == {
        "approvals": 1,
        "decisions": 1,
        "devices_pending": 1,
        "devices_quarantined": 1,
        "certificates_expiring": 1,
    }
    assert body["counts"] == {
        "models": 1,
        "rollouts_active": 1,
        "drift_alerting": 1,
        "alerts_critical": 1,
        "alerts_open": 1,
        "jobs_active": 0,
    }


def test_another_organization_sees_nothing_of_it(viewer: Person, outsider: Person) -> None:
    site = site_make(viewer.organization, "harbour", "north")
    device = joined(viewer.organization, site=site)
    rollout = rollout_make(version_make(viewer.organization, "1.0"), state="halted")
    deploy(rollout, device, "proven")
    alert_make(viewer.organization)
    empty = overview(outsider)

    assert empty["devices"]["total"] == 0
    assert empty["regions"] == empty["attention"] == empty["rollouts_in_flight"] == []
    assert set(empty["counts"].values()) == set(empty["waiting"].values()) == {0}
    assert {value for name, value in empty["figures"].items() if name.endswith("_count")} == {0}
    assert set(empty["figure_series"]["online_ratio"]) == set(empty["figure_series"]["proven_ratio"]) == {None}


def test_it_costs_the_same_however_large_the_fleet(
    viewer: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    organization = viewer.organization
    version = version_make(organization, "1.0")
    for count in (1, 12):
        for number in range(count):
            rollout = rollout_make(version)
            device = joined(organization, site=site_make(organization, f"{count} {number}", f"region {number}"))
            deploy(rollout, device, "proven")
            alert_make(organization, region=f"region {number}")
        viewer.get(ADDRESS)
        with django_assert_max_num_queries(24):
            viewer.get(ADDRESS)


@pytest.mark.parametrize("hours", [0, 30])
def test_time_passes_without_harm(viewer: Person, hours: int) -> None:
    joined(viewer.organization, site=site_make(viewer.organization))
    with advanced(timedelta(hours=hours)):
        assert overview(viewer)["devices"]["total"] == 1
