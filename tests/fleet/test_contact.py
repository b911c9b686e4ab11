"""Who is online, who fell silent, who is back."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from pytest_django import DjangoAssertNumQueries, Settings

from common.clock import advanced, now
from fleet.hot import Contacts
from fleet.models import Device, DeviceEvent
from fleet.policy.contact import is_online, patience
from fleet.services.contact import devices_lost_detect, devices_seen_record
from tests.factories.fleet import device_make
from tests.factories.people import Person

SILENCE = timedelta(seconds=91)  # three polls of 30 s, and one second


@pytest.fixture(autouse=True)
def _poll_every_30_s(settings: Settings) -> None:
    settings.DEVICE_POLL_INTERVAL_S = 30


def kinds(device: Device) -> list[str]:
    return list(DeviceEvent.objects.filter(device_id=device.pk).order_by("pk").values_list("kind", flat=True))


def test_a_device_is_online_for_three_polls_and_never_less_than_30_seconds() -> None:
    at = now()
    assert patience(60) == timedelta(seconds=180)
    assert patience(1) == timedelta(seconds=30)
    assert is_online(at - timedelta(seconds=30), at=at, poll_interval_s=1)
    assert not is_online(at - timedelta(seconds=31), at=at, poll_interval_s=1)
    assert not is_online(None, at=at, poll_interval_s=1)


def test_a_silent_device_is_noted_once_and_its_return_too(operator: Person) -> None:
    device, talker = device_make(operator.organization), device_make(operator.organization)
    with advanced(SILENCE):
        devices_seen_record(device_ids=[talker.pk])

        assert devices_lost_detect() == 1
        assert devices_lost_detect() == 0
        assert devices_seen_record(device_ids=[device.pk, talker.pk]) == 1
        assert devices_seen_record(device_ids=[device.pk]) == 0

    assert kinds(device) == ["contact.lost", "contact.back"]
    assert kinds(talker) == []


def test_a_device_that_never_called_or_is_out_of_service_is_not_lost(operator: Person) -> None:
    for columns in ({"last_seen_at": None}, {"state": "decommissioned"}, {"state": "pending"}):
        device_make(operator.organization, **columns)
    with advanced(SILENCE):
        assert devices_lost_detect() == 0


def test_an_older_contact_does_not_overwrite_a_newer_one(operator: Person) -> None:
    device = device_make(operator.organization)

    devices_seen_record(device_ids=[device.pk], at=now() - timedelta(hours=1))

    assert Device.objects.get(pk=device.pk).last_seen_at == device.last_seen_at


def test_recording_contact_is_one_update_however_many_devices(
    operator: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    few = [device_make(operator.organization).pk for _ in range(2)]
    many = few + [device_make(operator.organization).pk for _ in range(20)]
    for ids in (few, many):
        with django_assert_num_queries(3):  # the UPDATE, between savepoint and release
            devices_seen_record(device_ids=ids)


def test_the_api_says_who_is_online(operator: Person) -> None:
    device_make(operator.organization, controller_id="here")
    device_make(operator.organization, controller_id="gone", last_seen_at=now() - SILENCE)
    device_make(operator.organization, controller_id="never", last_seen_at=None)

    def ids(query: str) -> set[str]:
        return {row["controller_id"] for row in operator.get(f"/api/v1/devices/{query}").json()["results"]}

    assert ids("?is_online=true") == {"here"}
    assert ids("?is_online=false") == {"gone", "never"}
    answer = operator.get("/api/v1/devices/summary/").json()
    assert (answer["total"], answer["online"], answer["offline"]) == (3, 1, 2)


@pytest.mark.usefixtures("transactional_db")
async def test_touches_are_written_together_a_moment_later(operator: Person) -> None:
    before = now() - timedelta(minutes=1)
    devices = [await sync_to_async(device_make)(operator.organization, last_seen_at=before) for _ in range(3)]
    contacts = Contacts()

    for device in devices:
        contacts.touch(device.pk)

    deadline = time.monotonic() + 10
    while await Device.objects.filter(last_seen_at__gt=before).acount() < 3:
        assert time.monotonic() < deadline, "touches were not written"
        await asyncio.sleep(0.05)
    await sync_to_async(connections.close_all)()
