"""What happened to devices, and what runs on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from common.clock import frozen, now
from common.errors import InvalidInputError
from common.ids import uuid7
from fleet import hot
from fleet.models import Device, DeviceEvent, Evidence, InstalledModel
from fleet.services.access import ACCESS_LIFETIME
from fleet.services.attributes import device_attributes_update
from fleet.services.events import device_event_append, device_events_append
from fleet.services.installed import installed_model_forget, installed_model_record
from fleet.services.partitions import device_event_partitions_ensure
from fleet.services.revisions import device_revisions_bump
from fleet.types import EventRecord
from tests.factories.fleet import device_make
from tests.factories.people import Person

pytestmark = pytest.mark.sql


@pytest.fixture
def device(operator: Person) -> Device:
    return device_make(operator.organization)


def partition_of(event: DeviceEvent) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM fleet_deviceevent WHERE id = %s", [event.pk])
        return str(cursor.fetchone()[0])


# --- Events ---------------------------------------------------------------------------------------
def test_a_timeline_is_newest_first_and_speaks_in_sentences(operator: Person, device: Device) -> None:
    other = device_make(operator.organization, name="neighbour")
    device_event_append(device_id=device.pk, kind="contact.lost")
    device_event_append(device_id=device.pk, kind="deployment.proven", data={"text": "1.1 proven", "n": 1})
    device_event_append(
        device_id=device.pk, kind="some.new_kind", reference_kind="device", reference_id=other.public_id
    )
    device_event_append(device_id=other.pk, kind="contact.lost")

    rows = operator.get(f"/api/v1/devices/{device.public_id}/events/").json()["results"]

    assert [row["text"] for row in rows] == ["Some new kind", "1.1 proven", "Contact lost"]
    assert rows[0]["reference"] == {"kind": "device", "id": str(other.public_id), "name": "neighbour"}
    assert rows[1]["reference"] is None
    assert rows[1]["data"] == {"text": "1.1 proven", "n": 1}


def test_a_reference_to_what_is_gone_has_no_name(operator: Person, device: Device) -> None:
    gone = uuid7()
    device_event_append(device_id=device.pk, kind="x.y", reference_kind="device", reference_id=gone)

    rows = operator.get(f"/api/v1/devices/{device.public_id}/events/").json()["results"]

    assert rows[0]["reference"] == {"kind": "device", "id": str(gone), "name": None}


def test_a_bulk_append_writes_all(device: Device) -> None:
    records = [EventRecord(device_id=device.pk, kind="contact.lost") for _ in range(2_500)]

    assert device_events_append(records=records) == 2_500
    assert DeviceEvent.objects.filter(device_id=device.pk).count() == 2_500


def test_events_fall_into_their_month_and_the_rest_into_the_default(device: Device) -> None:
    at = now()
    today = device_event_append(device_id=device.pk, kind="a.b")
    in_1970 = device_event_append(device_id=device.pk, kind="a.b", at=datetime(1970, 1, 1, tzinfo=UTC))

    assert partition_of(today) == f"fleet_deviceevent_{at:%Y_%m}"
    assert partition_of(in_1970) == "fleet_deviceevent_default"


def test_months_are_made_ahead_once_and_take_over_what_the_default_held(device: Device) -> None:
    far = datetime(2031, 5, 17, tzinfo=UTC)
    early = device_event_append(device_id=device.pk, kind="a.b", at=far)
    assert partition_of(early) == "fleet_deviceevent_default"

    with frozen(far):
        made = device_event_partitions_ensure()
        assert device_event_partitions_ensure() == []

    assert made == [f"fleet_deviceevent_2031_0{month}" for month in (5, 6, 7, 8)]
    assert partition_of(early) == "fleet_deviceevent_2031_05"
    assert DeviceEvent.objects.get(pk=early.pk).at == far


def test_months_older_than_two_years_are_dropped(device: Device) -> None:
    old = device_event_append(device_id=device.pk, kind="a.b")
    with frozen(now() + timedelta(days=800)):
        device_event_partitions_ensure()

    assert not DeviceEvent.objects.filter(pk=old.pk).exists()


# --- Installed models -----------------------------------------------------------------------------
def record(device: Device, version: str, evidence: Evidence = Evidence.ATTESTED) -> InstalledModel:
    installed_model_record(
        device_id=device.pk, model_name="digits", version=version, digest=f"sha-{version}", evidence=evidence
    )
    return InstalledModel.objects.get(device=device)


def test_what_ran_before_is_kept_beside_what_runs(device: Device) -> None:
    assert record(device, "1.0").previous_version == ""

    now_runs = record(device, "1.1")

    assert (now_runs.version, now_runs.previous_version, now_runs.previous_digest) == ("1.1", "1.0", "sha-1.0")


def test_proof_of_the_same_digest_again_changes_neither_since_nor_what_ran_before(device: Device) -> None:
    record(device, "1.0")
    before = record(device, "1.1")

    after = record(device, "1.1")

    assert (after.since, after.previous_version) == (before.since, "1.0")


def test_a_weaker_proof_does_not_replace_a_stronger_one_of_the_same_digest(device: Device) -> None:
    assert record(device, "1.0", Evidence.CLAIMED).evidence == "claimed"
    assert record(device, "1.0", Evidence.ATTESTED).evidence == "attested"
    assert record(device, "1.0", Evidence.OBSERVED).evidence == "attested"
    assert record(device, "1.1", Evidence.CLAIMED).evidence == "claimed"


def test_a_forgotten_model_is_gone(device: Device) -> None:
    record(device, "1.0")

    assert installed_model_forget(device_id=device.pk, model_name="digits")
    assert not installed_model_forget(device_id=device.pk, model_name="digits")


# --- Attributes -----------------------------------------------------------------------------------
def test_attributes_are_merged_replaced_and_removed(device: Device) -> None:
    arguments = {"organization_id": device.organization_id, "device_id": device.pk}

    assert device_attributes_update(**arguments, values={"a": "1", "b": "2"}) == {"a": "1", "b": "2"}
    assert device_attributes_update(**arguments, values={"b": "3"}, mode="merge") == {"a": "1", "b": "3"}
    assert device_attributes_update(**arguments, values={"a": ""}, mode="remove") == {"b": "3"}
    assert device_attributes_update(**arguments, values={"c": "4"}, mode="replace") == {"c": "4"}

    device.refresh_from_db()
    assert (device.attributes, device.attributes_wanted) == ({"c": "4"}, False)


def test_the_same_attributes_again_leave_the_device_as_it_is(device: Device) -> None:
    for _ in range(2):
        device_attributes_update(
            organization_id=device.organization_id, device_id=device.pk, values={"a": "1"}, mode="merge"
        )

    device.refresh_from_db()
    assert device.revision == 2
    assert DeviceEvent.objects.filter(device_id=device.pk, kind="device.attributes_changed").count() == 1


@pytest.mark.parametrize(
    "values",
    [
        {"k" * 129: "v"},
        {"k": "v" * 129},
        {"": "v"},
        {"k": 1},
        {"k": "\x00"},
        {"k": "\ud800"},
        {str(n): "" for n in range(101)},
    ],
    ids=["long key", "long value", "empty key", "number", "NUL", "surrogate", "too many"],
)
def test_attributes_out_of_bounds_are_refused(device: Device, values: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        device_attributes_update(organization_id=device.organization_id, device_id=device.pk, values=values)


def test_attributes_do_not_add_up_beyond_the_bound(device: Device) -> None:
    for start in (0, 60):
        values = {str(n): "" for n in range(start, start + 60)}
        if start == 0:
            device_attributes_update(organization_id=device.organization_id, device_id=device.pk, values=values)
        else:
            with pytest.raises(InvalidInputError):
                device_attributes_update(organization_id=device.organization_id, device_id=device.pk, values=values)


# --- Revisions, hot statements --------------------------------------------------------------------
def test_a_bump_raises_exactly_the_named_devices(operator: Person) -> None:
    devices = [device_make(operator.organization) for _ in range(3)]

    device_revisions_bump(device_ids=[devices[0].pk, devices[2].pk])

    assert [Device.objects.get(pk=device.pk).revision for device in devices] == [2, 1, 2]


def test_the_statement_for_revoked_devices_finds_the_recent_ones(operator: Person) -> None:
    recent = device_make(operator.organization, tokens_revoked_at=now(), token_generation=4)
    device_make(operator.organization, tokens_revoked_at=now() - timedelta(days=1), token_generation=2)

    with connection.cursor() as cursor:
        cursor.execute(hot.REVOKED, [now() - ACCESS_LIFETIME])
        assert cursor.fetchall() == [(recent.pk, 4)]
