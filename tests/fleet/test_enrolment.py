"""A device joins: with a token, once, and never in another's place."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store
from django.conf import settings

from common.clock import advanced, now
from fleet.models import Device, DeviceAuthority, DeviceEvent, EnrolmentToken, HardwareProfile
from fleet.services.enrolment_tokens import enrolment_token_revoke
from flotilla_protocol.identity import csr_make, key_generate, public_key_to_der, subject_name
from governance.models import AuditEntry
from tests.factories.fleet import EdgeDevice, certificate_of, site_make
from tests.factories.people import Person

MakeToken = Callable[..., str]
MakeDevice = Callable[..., EdgeDevice]


def nothing_joined() -> bool:
    return not Device.objects.exists() and not EnrolmentToken.objects.exclude(used_at=None).exists()


async def test_a_device_joins_with_what_it_declared_and_what_its_token_gives(
    token: MakeToken, device_in: MakeDevice, operator: Person
) -> None:
    await sync_to_async(site_make)(operator.organization, "harbour", "north")
    text = await sync_to_async(token)(site="harbour", labels={"line": "3"})
    device = device_in("cam-1")

    answer = await device.enrol(text)

    assert answer.status_code == 200
    body = answer.json()
    row = await Device.objects.select_related("site", "region", "hardware_profile").aget()
    assert body["device_id"] == str(row.public_id)
    assert (body["controller_id"], body["tenant"]) == ("cam-1", "acme")
    assert json.loads(body["root_metadata"])["signed"]["_type"] == "root"
    assert body["poll_interval_s"] == settings.DEVICE_POLL_INTERVAL_S
    assert answer.headers["cache-control"] == "no-store"
    assert row.state == "accepted"
    assert row.site is not None
    assert row.region is not None
    assert (row.site.name, row.region.name, row.labels) == ("harbour", "north", {"line": "3"})
    assert row.attributes == {"serial": "42"}
    assert (row.hardware_profile.name, row.hardware_profile.cpu_count) == ("jetson", 6)
    assert bytes(row.public_key or b"") == public_key_to_der(device.key.public_key())
    assert await DeviceEvent.objects.filter(device_id=row.pk, kind="device.enrolled").acount() == 1
    assert await AuditEntry.objects.filter(action="device.enrol", object_id=str(row.public_id)).acount() == 1


async def test_the_certificate_is_the_authoritys_and_good_for_a_tls_client_only(
    token: MakeToken, device_in: MakeDevice
) -> None:
    answer = await device_in("cam-1").enrol(await sync_to_async(token)())

    certificate = certificate_of(answer)
    authority = x509.load_pem_x509_certificate(answer.json()["authority_pem"].encode())
    verifier = PolicyBuilder().store(Store([authority])).time(now()).build_client_verifier()
    verified = verifier.verify(certificate, [])
    assert verified.subjects == [x509.UniformResourceIdentifier("urn:flotilla:device:cam-1")]
    assert certificate.subject == subject_name("cam-1")
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert timedelta(days=364) < certificate.not_valid_after_utc - now() <= timedelta(days=366)
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)


async def test_the_authoritys_key_is_a_file_only_we_can_read(token: MakeToken, device_in: MakeDevice) -> None:
    await device_in().enrol(await sync_to_async(token)())

    authority = await DeviceAuthority.objects.aget()
    mode = (settings.KEYS_DIR / authority.key_name).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


async def test_an_id_too_long_for_a_common_name_joins_in_full(token: MakeToken, device_in: MakeDevice) -> None:
    device = device_in("x" * 256)

    answer = await device.enrol(await sync_to_async(token)())

    assert answer.status_code == 200
    names = certificate_of(answer).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:flotilla:device:" + "x" * 256]


async def test_the_same_request_again_gets_the_same_certificate(token: MakeToken, device_in: MakeDevice) -> None:
    text, device = await sync_to_async(token)(), device_in()

    first = await device.enrol(text)
    second = await device.enrol(text)

    assert second.status_code == 200
    assert second.json() == first.json()
    assert await Device.objects.acount() == 1


@pytest.mark.parametrize("tenant", ["ACME", "Acme"])
async def test_the_tenants_case_does_not_matter(token: MakeToken, device_in: MakeDevice, tenant: str) -> None:
    answer = await device_in(tenant=tenant).enrol(await sync_to_async(token)())

    assert answer.status_code == 200
    assert answer.json()["tenant"] == "acme"


async def test_unknown_used_expired_revoked_and_foreign_tokens_are_refused_alike(
    token: MakeToken, device_in: MakeDevice, operator: Person, outsider: Person
) -> None:
    used, expired, revoked, foreign = [await sync_to_async(token)() for _ in range(4)]
    assert (await device_in().enrol(used)).status_code == 200
    row = await EnrolmentToken.objects.order_by("-pk")[1:2].aget()
    await sync_to_async(enrolment_token_revoke)(caller=operator.caller, token_id=row.public_id)

    answers = [
        await device_in().enrol("fle_" + "x" * 43),
        await device_in().enrol(used),
        await device_in().enrol(revoked),
        await device_in(tenant="other").enrol(foreign),
        await device_in(tenant="nowhere").enrol(foreign),
        await device_in(tenant="%00").enrol(foreign),
    ]
    with advanced(timedelta(hours=2)):
        answers.append(await device_in().enrol(expired))

    assert {answer.status_code for answer in answers} == {403}
    assert {(answer.json()["code"], answer.json()["message"]) for answer in answers} == {
        ("fleet.enrolment_refused", answers[0].json()["message"])
    }
    assert await Device.objects.acount() == 1


async def test_a_used_token_does_not_let_another_key_in_under_the_same_id(
    token: MakeToken, device_in: MakeDevice
) -> None:
    text = await sync_to_async(token)()
    assert (await device_in("cam-1").enrol(text)).status_code == 200

    answer = await device_in("cam-1").enrol(text)

    assert answer.status_code == 403


async def test_a_token_never_takes_an_existing_device_over_and_stays_unused(
    token: MakeToken, device_in: MakeDevice, stored: Callable[[EdgeDevice], Device]
) -> None:
    device, thief = device_in("cam-1"), device_in("cam-1")
    await device.enrol(await sync_to_async(token)())
    before = await sync_to_async(stored)(device)
    text = await sync_to_async(token)()

    answer = await thief.enrol(text)

    assert (answer.status_code, answer.json()["code"]) == (409, "fleet.device_exists")
    after = await sync_to_async(stored)(device)
    assert (after.public_key, after.certificate_pem) == (before.public_key, before.certificate_pem)
    assert (await device_in("cam-2").enrol(text)).status_code == 200
    assert await AuditEntry.objects.filter(action="device.enrol_refused").acount() == 1


async def test_repeating_a_takeover_does_not_fill_the_audit_log(token: MakeToken, device_in: MakeDevice) -> None:
    await device_in("cam-1").enrol(await sync_to_async(token)())
    text = await sync_to_async(token)()

    for _ in range(3):
        assert (await device_in("cam-1").enrol(text)).status_code == 409

    assert await AuditEntry.objects.filter(action="device.enrol_refused").acount() == 1


def _csr_of_another_name(_device: EdgeDevice) -> str:
    return csr_make(key_generate(), "somebody-else")


def _csr_of_another_curve(device: EdgeDevice) -> str:
    key = ec.generate_private_key(ec.SECP384R1())
    return csr_make(key, device.controller_id)


def _csr_of_an_edwards_key(device: EdgeDevice) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name(device.controller_id))
    request = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _csr_signed_by_another_key(device: EdgeDevice) -> str:
    """A sound request whose signature is replaced by another key's over the same body."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name(device.controller_id))
    ours = builder.sign(device.key, hashes.SHA256())
    theirs = key_generate().sign(ours.tbs_certrequest_bytes, ec.ECDSA(hashes.SHA256()))
    der = ours.public_bytes(serialization.Encoding.DER)
    body = ours.tbs_certrequest_bytes
    algorithm = der[der.index(body) + len(body) :][: 2 + 10]
    bits = b"\x03" + bytes([len(theirs) + 1]) + b"\x00" + theirs
    content = body + algorithm + bits
    forged = b"\x30\x81" + bytes([len(content)]) + content if len(content) < 256 else _long(content)
    return x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()


def _long(content: bytes) -> bytes:
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def _csr_of_noise(_device: EdgeDevice) -> str:
    return "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"


def _csr_empty(_device: EdgeDevice) -> str:
    return ""


async def test_a_request_that_proves_nothing_is_refused_and_changes_nothing(
    token: MakeToken, device_in: MakeDevice
) -> None:
    text = await sync_to_async(token)()
    for make in (
        _csr_of_another_name,
        _csr_of_another_curve,
        _csr_of_an_edwards_key,
        _csr_signed_by_another_key,
        _csr_of_noise,
        _csr_empty,
    ):
        device = device_in()

        answer = await device.enrol(text, csr_pem=make(device))

        assert (answer.status_code, answer.json()["code"]) == (400, "fleet.invalid_csr"), make.__name__
    assert await sync_to_async(nothing_joined)()


OUT_OF_BOUNDS: list[tuple[dict[str, Any], str]] = [
    ({"controller_id": "a/b"}, "controller_id"),
    ({"controller_id": "x" * 257}, "controller_id"),
    ({"controller_id": 7}, "controller_id"),
    ({"hardware": {}}, "hardware"),
    ({"hardware": {"profile": "p", "memory_bytes": -1}}, "hardware.memory_bytes"),
    ({"attributes": {"k": "v" * 129}}, "attributes"),
    ({"attributes": {"k\x00": "v"}}, "attributes"),
    ({"attributes": {str(n): "" for n in range(101)}}, "attributes"),
    ({"name": "x" * 257}, "name"),
    ({"name": "a\x00b"}, "name"),
    ({"agent_version": "\x00"}, "agent_version"),
    ({"hardware": {"profile": "p\x00"}}, "hardware"),
    ({"hardware": {"profile": "p", "runtimes": ["\x00"]}}, "hardware"),
]


async def test_a_field_that_breaks_its_bound_is_named_and_changes_nothing(
    token: MakeToken, device_in: MakeDevice
) -> None:
    text = await sync_to_async(token)()
    for changes, field in OUT_OF_BOUNDS:
        answer = await device_in().enrol(text, **changes)

        assert answer.status_code == 400, changes
        assert any(name.startswith(field) for name in answer.json()["fields"]), changes
    assert await sync_to_async(nothing_joined)()


async def test_what_is_no_message_is_a_400(doors: httpx.AsyncClient, operator: Person) -> None:
    for body in (b"", b"[]", b"{", b"\xff\xfe", b"null", b'{"token": "\\ud800"}', b"[" * 5000):
        answer = await doors.post("/acme/agent/v1/enrol", content=body, headers={"Content-Type": "application/json"})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), body[:30]


async def test_another_content_type_is_a_400(doors: httpx.AsyncClient, operator: Person) -> None:
    answer = await doors.post("/acme/agent/v1/enrol", content=b"a=b", headers={"Content-Type": "text/plain"})

    assert answer.status_code == 400


async def test_an_oversized_body_is_a_413_whether_announced_or_not(
    token: MakeToken, device_in: MakeDevice, doors: httpx.AsyncClient
) -> None:
    device = device_in()
    body = json.dumps(device.enrol_request(await sync_to_async(token)(), name="x" * 300_000)).encode()
    headers = {"Content-Type": "application/json"}

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    announced = await doors.post("/acme/agent/v1/enrol", content=body, headers=headers)
    streamed = await doors.post("/acme/agent/v1/enrol", content=chunks(), headers=headers)

    assert (announced.status_code, streamed.status_code) == (413, 413)
    assert await sync_to_async(nothing_joined)()


async def test_a_forged_host_is_a_400_and_changes_nothing(token: MakeToken, device_in: MakeDevice) -> None:
    device, text = device_in(), await sync_to_async(token)()

    answer = await device.client.post(
        "/acme/agent/v1/enrol", json=device.enrol_request(text), headers={"Host": "evil.example"}
    )

    assert answer.status_code == 400
    assert await sync_to_async(nothing_joined)()


async def test_of_twenty_devices_with_one_token_exactly_one_joins(token: MakeToken, device_in: MakeDevice) -> None:
    text = await sync_to_async(token)()

    answers = await asyncio.gather(*(device_in().enrol(text) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 19
    row = await Device.objects.aget()
    spent = await EnrolmentToken.objects.select_related("used_by").aget()
    assert spent.used_by == row


async def test_of_twenty_tokens_for_one_id_exactly_one_is_used(token: MakeToken, device_in: MakeDevice) -> None:
    texts = [await sync_to_async(token)() for _ in range(20)]

    answers = await asyncio.gather(*(device_in("cam-1").enrol(text) for text in texts))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert await EnrolmentToken.objects.exclude(used_at=None).acount() == 1


async def test_the_first_devices_of_an_organization_share_one_authority(
    token: MakeToken, device_in: MakeDevice
) -> None:
    texts = [await sync_to_async(token)() for _ in range(8)]

    answers = await asyncio.gather(*(device_in().enrol(text) for text in texts))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["authority_pem"] for answer in answers}) == 1
    assert await HardwareProfile.objects.filter(name="jetson").acount() == 1


async def test_a_device_does_not_change_a_hardware_profile_others_share(
    token: MakeToken, device_in: MakeDevice
) -> None:
    await device_in().enrol(await sync_to_async(token)())

    await device_in().enrol(await sync_to_async(token)(), hardware={"profile": "jetson", "cpu_count": 1})

    assert (await HardwareProfile.objects.aget()).cpu_count == 6
