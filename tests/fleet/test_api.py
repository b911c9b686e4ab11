"""The fleet's REST resources, through the front door."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from common.clock import advanced
from fleet import selectors
from fleet.models import Device, EnrolmentToken, Evidence, Site
from fleet.services.installed import installed_model_record
from fleet.types import LatestValues
from governance.models import AuditEntry
from tests.factories.fleet import device_make, enrolment_token_make, hardware_profile_make, site_make
from tests.factories.people import Person


def ids(person: Person, query: str = "") -> set[str]:
    answer = person.get(f"/api/v1/devices/{query}")
    assert answer.status_code == 200, answer.content
    return {row["controller_id"] for row in answer.json()["results"]}


@pytest.fixture
def fleet(operator: Person) -> dict[str, Device]:
    """Three devices that differ in everything one can filter by."""
    organization = operator.organization
    north, south = site_make(organization, "harbour", "north"), site_make(organization, "mill", "south")
    devices = {
        "a": device_make(organization, controller_id="a", site=north, profile="jetson", labels={"line": "1"}),
        "b": device_make(organization, controller_id="b", site=south, profile="pi", labels={"line": "2", "x": "y"}),
        "c": device_make(organization, controller_id="c", name="Old camera", state="quarantined"),
    }
    for name, version in (("a", "1.0"), ("b", "1.1")):
        installed_model_record(
            device_id=devices[name].pk,
            model_name="digits",
            version=version,
            digest="0" * 64,
            evidence=Evidence.ATTESTED,
        )
    return devices


def test_a_device_says_all_about_itself(operator: Person, fleet: dict[str, Device]) -> None:
    answer = operator.get(f"/api/v1/devices/{fleet['a'].public_id}/")

    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {
        *("id", "controller_id", "name", "state", "is_online", "last_seen_at", "hardware_profile", "site", "region"),
        *("labels", "attributes", "agent_version", "certificate_expires_at", "installed", "health", "health_at"),
        *("window", "window_at", "created_at"),
    }
    assert body["site"]["name"] == "harbour"
    assert body["region"]["name"] == "north"
    assert body["hardware_profile"]["name"] == "jetson"
    assert body["is_online"] is True
    (installed,) = body["installed"]
    assert (installed["model"], installed["version"], installed["evidence"]) == ("digits", "1.0", "attested")
    assert set(installed) == {"model", "version", "digest", "evidence", "since"}
    assert (body["health"], body["window_at"]) == (None, None)


def test_the_newest_telemetry_comes_from_who_keeps_it(
    operator: Person, fleet: dict[str, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {fleet["a"].pk: LatestValues(health={"cpu_ratio": 0.5}, window={"latency_ms_p95": 7.0})}
    monkeypatch.setattr(selectors, "_latest_provider", [lambda wanted: {n: values[n] for n in wanted if n in values}])

    rows = {row["controller_id"]: row for row in operator.get("/api/v1/devices/").json()["results"]}

    assert rows["a"]["health"] == {"cpu_ratio": 0.5}
    assert rows["a"]["window"] == {"latency_ms_p95": 7.0}
    assert rows["b"]["health"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "abc"),
        ("?state=quarantined", "c"),
        ("?state=quarantined&state=accepted", "abc"),
        ("?region=north", "a"),
        ("?region=north&region=south", "ab"),
        ("?site=mill", "b"),
        ("?hardware_profile=pi", "b"),
        ("?model=digits", "ab"),
        ("?model=digits&version=1.0", "a"),
        ("?version=1.1", "b"),
        ("?model=other", ""),
        ("?label=line=1", "a"),
        ("?label=line=2&label=x=y", "b"),
        ("?label=line=1&label=x=y", ""),
        ("?search=OLD", "c"),
        ("?search=%25", ""),
        ("?region=nowhere", ""),
    ],
)
def test_filters_narrow_the_list(operator: Person, fleet: dict[str, Device], query: str, expected: str) -> None:
    assert ids(operator, query) == set(expected)


@pytest.mark.parametrize("query", ["?state=gone", "?is_online=perhaps", "?label=line", "?label==1", "?search=%00"])
def test_a_filter_that_cannot_be_understood_is_a_400(operator: Person, query: str) -> None:
    answer = operator.get(f"/api/v1/devices/{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


def test_facets_count_what_matches(operator: Person, fleet: dict[str, Device]) -> None:
    body = operator.get("/api/v1/devices/facets/?state=accepted").json()

    assert body["count"] == 2
    assert body["state"] == [{"value": "accepted", "count": 2}]
    assert body["region"] == [{"value": "north", "count": 1}, {"value": "south", "count": 1}]
    assert body["is_online"] == [{"value": True, "count": 2}, {"value": False, "count": 0}]
    assert body["version"] == [
        {"value": "1.0", "model": "digits", "count": 1},
        {"value": "1.1", "model": "digits", "count": 1},
    ]


def test_the_summary_counts_devices_in_service(operator: Person, fleet: dict[str, Device]) -> None:
    device_make(operator.organization, state="decommissioned")

    body = operator.get("/api/v1/devices/summary/").json()

    assert (body["total"], body["online"], body["offline"]) == (3, 3, 0)
    assert body["by_state"] == {"accepted": 2, "quarantined": 1, "decommissioned": 1}
    assert {row["region"]: row["total"] for row in body["by_region"]} == {"north": 1, "south": 1, None: 1}
    assert {row["site"]: row["region"] for row in body["by_site"]} == {"harbour": "north", "mill": "south", None: None}
    assert {row["hardware_profile"]: row["online"] for row in body["by_hardware_profile"]} == {
        "box": 1,
        "jetson": 1,
        "pi": 1,
    }


def test_pages_follow_each_other_without_gap_or_double(operator: Person) -> None:
    names = {device_make(operator.organization).controller_id for _ in range(7)}
    seen: list[str] = []
    address: str | None = "/api/v1/devices/?limit=3"
    while address:
        page: dict[str, Any] = operator.get(address).json()
        seen += [row["controller_id"] for row in page["results"]]
        address = page["next"]

    assert len(seen) == 7
    assert set(seen) == names


def test_a_list_costs_the_same_however_many_devices(
    operator: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    site = site_make(operator.organization)
    for count in (1, 15):
        for _ in range(count):
            device = device_make(operator.organization, site=site)
            installed_model_record(
                device_id=device.pk, model_name="digits", version="1", digest="0" * 64, evidence=Evidence.CLAIMED
            )
        operator.get("/api/v1/devices/")  # the token's last use is written once a minute
        # Token, devices, what they run, newest telemetry.
        with django_assert_max_num_queries(4):
            operator.get("/api/v1/devices/")


# --- Enrolment tokens -----------------------------------------------------------------------------
def test_a_tokens_secret_is_shown_once_and_stored_as_a_digest(operator: Person) -> None:
    answer = operator.post(
        "/api/v1/enrolment-tokens/",
        {"name": "line 3", "site": "harbour", "region": "north", "labels": {"line": "3"}, "expires_in_s": 60},
    )

    assert answer.status_code == 201
    body = answer.json()
    assert body["token"].startswith("fle_")
    assert len(body["token"]) > 40
    assert body["prefix"] == body["token"][:12]
    assert (body["state"], body["site"]["name"], body["region"]["name"]) == ("active", "harbour", "north")
    listed = operator.get("/api/v1/enrolment-tokens/").json()["results"]
    assert "token" not in listed[0]
    row = EnrolmentToken.objects.get()
    assert body["token"].encode() not in bytes(row.token_hash)
    assert Site.objects.get().region.name == "north"
    assert not AuditEntry.objects.filter(data__icontains=body["token"]).exists()


def test_a_token_is_active_until_it_expires_or_is_revoked(operator: Person) -> None:
    enrolment_token_make(operator.caller, lifetime=timedelta(minutes=1))
    (row,) = operator.get("/api/v1/enrolment-tokens/").json()["results"]
    with advanced(timedelta(minutes=2)):
        (later,) = operator.get("/api/v1/enrolment-tokens/").json()["results"]
    first = operator.post(f"/api/v1/enrolment-tokens/{row['id']}/revoke/")
    second = operator.post(f"/api/v1/enrolment-tokens/{row['id']}/revoke/")

    assert (row["state"], later["state"]) == ("active", "expired")
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["state"] == "revoked"
    assert AuditEntry.objects.filter(action="enrolment_token.revoke").count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in_s": 0},
        {"expires_in_s": 10**9},
        {"site": "new place"},
        {"region": "north"},
        {"site": "harbour", "region": "south"},
        {"labels": {"k": "v" * 129}},
        {"labels": {"k" * 129: "v"}},
        {"labels": {"k\x00": "v"}},
        {"labels": ["a"]},
        {"name": "x" * 129},
        {"name": "\x00"},
    ],
)
def test_a_token_that_makes_no_sense_is_a_400(operator: Person, body: dict[str, Any]) -> None:
    site_make(operator.organization, "harbour", "north")

    answer = operator.post("/api/v1/enrolment-tokens/", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert answer.json()["fields"]
    assert not EnrolmentToken.objects.exists()


# --- Places ---------------------------------------------------------------------------------------
def test_places_are_made_once(operator: Person) -> None:
    bodies = {
        "regions": {"name": "north"},
        "sites": {"name": "harbour", "region": "north", "latitude_deg": 53.5, "longitude_deg": 10.0},
        "hardware-profiles": {"name": "jetson", "architecture": "aarch64", "runtimes": ["onnxruntime 1.31"]},
    }
    for resource, body in bodies.items():
        made = operator.post(f"/api/v1/{resource}/", body)
        again = operator.post(f"/api/v1/{resource}/", body)

        assert made.status_code == 201, made.content
        assert (again.status_code, again.json()["code"]) == (409, "fleet.name_taken")
        (row,) = operator.get(f"/api/v1/{resource}/").json()["results"]
        assert row == made.json()
        assert operator.get(f"/api/v1/{resource}/{row['id']}/").json() == row


@pytest.mark.parametrize(
    "body",
    [
        {"name": "s", "region": "r", "latitude_deg": 91},
        {"name": "s", "region": "r", "longitude_deg": -181},
        {"name": "s", "region": "r", "latitude_deg": "NaN"},
        {"name": "s", "region": "r", "timezone": "Mars/Olympus"},
        {"name": "s"},
        {"name": "", "region": "r"},
    ],
)
def test_a_site_that_is_nowhere_is_a_400(operator: Person, body: dict[str, Any]) -> None:
    assert operator.post("/api/v1/sites/", body).status_code == 400
    assert not Site.objects.exists()


def test_a_viewer_reads_and_makes_nothing(viewer: Person) -> None:
    hardware_profile_make(viewer.organization)
    for resource in ("devices", "enrolment-tokens", "sites", "regions", "hardware-profiles"):
        assert viewer.get(f"/api/v1/{resource}/").status_code == 200
    for resource in ("enrolment-tokens", "sites", "regions", "hardware-profiles"):
        assert viewer.post(f"/api/v1/{resource}/", {"name": "n"}).status_code == 403
