"""A device proves who it is: by an assertion, once, and by an access token until it is revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from common.clock import advanced, now
from fleet.device_api.authentication import TokenTable
from fleet.models import Device, UsedAssertion
from fleet.services.access import access_token_encode, used_assertions_purge
from fleet.services.lifecycle import device_accept, device_decommission, device_quarantine
from fleet.types import DeviceCaller
from flotilla_protocol.identity import assertion_audience, key_generate
from tests.factories.fleet import EdgeDevice
from tests.factories.people import Person

MakeToken = Callable[..., str]
MakeDevice = Callable[..., EdgeDevice]
DEADLINE_S = 10.0


@pytest.fixture
async def device(token: MakeToken, device_in: MakeDevice) -> EdgeDevice:
    """A device that is in, and signed in."""
    made = device_in("cam-1")
    await made.join(await sync_to_async(token)())
    return made


async def who(device: EdgeDevice, *, path: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
    address = path or f"/{device.tenant}/agent/v1/{device.controller_id}/who"
    return await device.client.get(address, headers=device.headers if headers is None else headers)


async def until_refused(device: EdgeDevice) -> None:
    """Wait until the device's token is refused; fail when it is not within seconds."""
    deadline = time.monotonic() + DEADLINE_S
    while (await who(device)).status_code != 401:
        assert time.monotonic() < deadline, "the revoked token is still accepted"
        await asyncio.sleep(0.02)


async def test_an_access_token_says_which_device_calls(
    device: EdgeDevice, stored: Callable[[EdgeDevice], Device]
) -> None:
    row = await sync_to_async(stored)(device)

    answer = await who(device)

    assert (answer.status_code, answer.json()) == (200, {"device_id": row.pk})
    claims = jwt.decode(device.access_token, options={"verify_signature": False})
    assert (claims["org"], claims["dev"], claims["cid"]) == (row.organization_id, row.pk, "cam-1")
    assert claims["exp"] - claims["iat"] == 900


async def test_the_tenant_in_the_path_may_be_in_any_case(device: EdgeDevice) -> None:
    assert (await who(device, path="/ACME/agent/v1/cam-1/who")).status_code == 200


async def test_a_path_of_another_tenant_or_device_is_a_401(device: EdgeDevice) -> None:
    assert (await who(device, path="/other/agent/v1/cam-1/who")).status_code == 401
    assert (await who(device, path="/acme/agent/v1/cam-2/who")).status_code == 401
    assert (await who(device, path="/acme/agent/v1/CAM-1/who")).status_code == 401


async def test_what_is_no_access_token_is_a_401(device: EdgeDevice) -> None:
    claims = jwt.decode(device.access_token, options={"verify_signature": False})
    foreign = jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"typ": "flotilla-access+jwt"})
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"typ": "flotilla-access+jwt"})
    with_secret = jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256", headers={"typ": "flotilla-access+jwt"})
    for text in ("", "x", "a.b.c", foreign, unsigned, with_secret, device.access_token[:-4], device.assertion()):
        answer = await who(device, headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == 401, text
    assert (await who(device, headers={})).status_code == 401
    assert (await who(device, headers={"Authorization": f"Basic {device.access_token}"})).status_code == 401


async def test_an_access_token_ends_after_fifteen_minutes(device: EdgeDevice) -> None:
    assert (await who(device)).status_code == 200
    with advanced(timedelta(minutes=15)):
        assert (await who(device)).status_code == 401


async def test_an_assertion_works_once(device: EdgeDevice) -> None:
    assertion = device.assertion()

    first, second = await device.sign_in(assertion), await device.sign_in(assertion)

    assert (first.status_code, second.status_code) == (200, 401)
    assert second.json()["code"] == "fleet.access_refused"


async def test_of_many_uses_of_one_assertion_at_once_one_works(device: EdgeDevice) -> None:
    assertion = device.assertion()

    answers = await asyncio.gather(*(device.sign_in(assertion) for _ in range(12)))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 11


async def test_an_assertion_that_is_not_sound_is_a_401(device: EdgeDevice) -> None:
    def hand_made(**changes: Any) -> str:
        claims = {
            "iss": "acme/cam-1",
            "sub": "acme/cam-1",
            "aud": assertion_audience(settings.DEVICE_URL, "acme"),
            "iat": int(now().timestamp()),
            "exp": int(now().timestamp()) + 60,
            "jti": "hand-made-1",
        }
        headers = {"typ": changes.pop("typ", "flotilla-assertion+jwt")}
        claims |= changes
        sound = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(sound, device.key, algorithm="ES256", headers=headers)

    at = int(now().timestamp())
    hostile = {
        "another audience": device.assertion(audience=assertion_audience("http://elsewhere", "acme")),
        "another tenant's audience": device.assertion(audience=assertion_audience(settings.DEVICE_URL, "other")),
        "another key": device.assertion(key=key_generate()),
        "expired": device.assertion(now=now() - timedelta(seconds=120)),
        "from the future": device.assertion(now=now() + timedelta(seconds=90)),
        "lives too long": hand_made(exp=at + 120),
        "lives backwards": hand_made(exp=at - 10),
        "another type": hand_made(typ="flotilla-report+jws"),
        "another issuer": hand_made(iss="acme/cam-2"),
        "no jti": hand_made(jti=None),
        "a jti that is no text": hand_made(jti=7),
        "a jti too long": hand_made(jti="x" * 4000),
        "no audience": hand_made(aud=None),
        "times that are no numbers": hand_made(iat="now"),
        "times beyond all calendars": hand_made(iat=10**30, exp=10**30 + 1),
        "unknown device": hand_made(iss="acme/nobody", sub="acme/nobody"),
        "a subject with NUL": hand_made(iss="acme/\x00", sub="acme/\x00"),
        "a subject that is no pair": hand_made(iss="acme", sub="acme"),
        "noise": "a.b.c",
        "an access token": device.access_token,
    }
    for name, assertion in hostile.items():
        answer = await device.client.post("/acme/agent/v1/token", json={"assertion": assertion})
        assert answer.status_code in {400, 401}, f"{name}: {answer.status_code} {answer.text}"
    assert (await device.sign_in(hand_made())).status_code == 200


async def test_a_clock_that_is_half_a_minute_ahead_is_forgiven(device: EdgeDevice) -> None:
    assert (await device.sign_in(device.assertion(now=now() + timedelta(seconds=25)))).status_code == 200


async def test_an_assertion_for_one_tenant_does_not_open_another(device: EdgeDevice) -> None:
    answer = await device.client.post("/other/agent/v1/token", json={"assertion": device.assertion()})

    assert answer.status_code == 401


async def test_a_decommissioned_device_is_refused_at_every_door(
    device: EdgeDevice, operator: Person, stored: Callable[[EdgeDevice], Device]
) -> None:
    assert (await who(device)).status_code == 200
    row = await sync_to_async(stored)(device)

    await sync_to_async(device_decommission)(caller=operator.caller, device_id=row.public_id, reason="stolen")

    await until_refused(device)
    assert (await device.sign_in()).status_code == 401


async def test_a_quarantined_device_must_prove_itself_anew_and_may_still_call(
    device: EdgeDevice, operator: Person, stored: Callable[[EdgeDevice], Device]
) -> None:
    row = await sync_to_async(stored)(device)
    await sync_to_async(device_quarantine)(caller=operator.caller, device_id=row.public_id, reason="odd traffic")

    await until_refused(device)
    assert (await device.sign_in()).status_code == 200
    assert (await who(device)).status_code == 200
    await sync_to_async(device_accept)(caller=operator.caller, device_id=row.public_id, reason="checked")
    assert (await device.sign_in()).status_code == 200


async def test_a_process_that_missed_the_notice_learns_of_a_revocation_by_reading(
    device: EdgeDevice, operator: Person, stored: Callable[[EdgeDevice], Device]
) -> None:
    row = await sync_to_async(stored)(device)
    await sync_to_async(device_decommission)(caller=operator.caller, device_id=row.public_id, reason="")
    late = TokenTable()

    await late.refresh()

    with pytest.raises(Exception, match="revoked"):
        late.check(device.access_token)


async def test_the_table_of_verified_tokens_is_bounded(transactional_db: None) -> None:
    table = TokenTable(size=3)
    caller = DeviceCaller(organization_id=1, device_id=1, controller_id="cam", tenant="acme")
    for generation in range(10):
        table.check(access_token_encode(caller, generation=generation).text)
    assert len(table._verified) == 3


async def test_expired_assertions_are_forgotten(device: EdgeDevice) -> None:
    assert await UsedAssertion.objects.acount() == 1
    assert await sync_to_async(used_assertions_purge)() == 0
    with advanced(timedelta(minutes=2)):
        assert await sync_to_async(used_assertions_purge)() == 1
    assert await UsedAssertion.objects.acount() == 0
