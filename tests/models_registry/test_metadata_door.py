"""Where devices fetch signed metadata."""

from __future__ import annotations

import httpx
import pytest
from tuf.api.metadata import Metadata, Root

from common.bridge import bridge
from models_registry.services import trust
from tests.factories.fleet import EdgeDevice, enrolment_token_make
from tests.factories.people import Person

pytestmark = pytest.mark.django_db(transaction=True)


async def joined(web: httpx.AsyncClient, person: Person) -> EdgeDevice:
    device = EdgeDevice(web, tenant=person.organization.slug)
    await device.join(await bridge.run(enrolment_token_make, person.caller))
    return device


async def test_a_device_enrols_with_the_root_and_fetches_what_leads_from_it(
    web: httpx.AsyncClient, owner: Person
) -> None:
    device = EdgeDevice(web, tenant=owner.organization.slug)
    enrolled = await device.enrol(await bridge.run(enrolment_token_make, owner.caller))
    root = Metadata[Root].from_bytes(enrolled.json()["root_metadata"].encode())
    await device.sign_in()
    base = f"/{device.tenant}/agent/v1/{device.controller_id}/metadata/"

    for name, cached in (
        ("timestamp.json", "no-cache"),
        ("1.root.json", "immutable"),
        ("1.snapshot.json", "immutable"),
    ):
        answer = await web.get(base + name, headers=device.headers)
        assert answer.status_code == 200
        assert cached in answer.headers["Cache-Control"]
        role = name.split(".")[-2]
        root.signed.verify_delegate(
            role, Metadata.from_bytes(answer.content).signed_bytes, Metadata.from_bytes(answer.content).signatures
        )
    answer = await web.get(base + "2.root.json", headers=device.headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_metadata_needs_the_device_s_own_token(web: httpx.AsyncClient, owner: Person, outsider: Person) -> None:
    device, stranger = await joined(web, owner), await joined(web, outsider)
    base = f"/{device.tenant}/agent/v1/{device.controller_id}/metadata/timestamp.json"
    assert (await web.get(base)).status_code == 401
    assert (await web.get(base, headers=stranger.headers)).status_code == 401
    assert (await web.get(base, headers=device.headers)).status_code == 200


async def test_each_organization_s_devices_see_their_own_repository(
    web: httpx.AsyncClient, owner: Person, outsider: Person
) -> None:
    device, stranger = await joined(web, owner), await joined(web, outsider)
    ours, theirs = [
        (await web.get(f"/{one.tenant}/agent/v1/{one.controller_id}/metadata/root.json", headers=one.headers)).content
        for one in (device, stranger)
    ]
    assert ours.decode() == await bridge.run(trust.trust_root, owner.caller.organization_id)
    assert ours != theirs
