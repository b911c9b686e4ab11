"""Who a device is: requests, assertions and reports, and everything that must not pass for one."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from flotilla_protocol import identity
from flotilla_protocol.errors import IdentityError, InvalidMessageError
from flotilla_protocol.messages import RunningModel, Soak, VersionReport

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AUDIENCE = identity.assertion_audience("https://devices.example.org/", "Demo")
KEY, OTHER = identity.key_generate(), identity.key_generate()


def assertion(**changes: Any) -> str:
    how: dict[str, Any] = {
        "key": KEY,
        "tenant": "Demo",
        "controller_id": "cam-1",
        "audience": AUDIENCE,
        "now": NOW,
        **changes,
    }
    return identity.assertion_make(**how)


def verify(text: str, **changes: Any) -> identity.Assertion:
    how: dict[str, Any] = {"public_key": KEY.public_key(), "audience": AUDIENCE, "now": NOW, **changes}
    return identity.assertion_verify(text, **how)


def forged(claims: dict[str, Any] | None = None, typ: str = identity.ASSERTION_TYPE, key: Any = KEY) -> str:
    issued = int(NOW.timestamp())
    base = {"iss": "demo/cam-1", "sub": "demo/cam-1", "aud": AUDIENCE, "iat": issued, "exp": issued + 60, "jti": "x"}
    content = {name: value for name, value in {**base, **(claims or {})}.items() if value is not None}
    return jwt.encode(content, key, algorithm="ES256", headers={"typ": typ})


def report(**changes: Any) -> VersionReport:
    how: dict[str, Any] = {
        "controller_id": "cam-1",
        "action_number": 3,
        "running": [RunningModel("digits", "1.0", "a" * 64, NOW, "a")],
        "self_test": "passed",
        "soak": Soak(clean=True, seconds=5.0, errors=0),
        "agent_version": "0.1.0",
        "sent_at": NOW,
        "nonce": "n" * 16,
        **changes,
    }
    return VersionReport(**how)


# --- Certificate requests ---------------------------------------------------------------------------------
@pytest.mark.parametrize("controller_id", ["cam-1", "a" * 64, "b" * 65, "c:d_e.f-" * 32])
def test_a_request_proves_its_key_and_its_id(controller_id: str) -> None:
    found = identity.csr_verify(identity.csr_make(KEY, controller_id), controller_id)
    assert identity.public_key_to_der(found) == identity.public_key_to_der(KEY.public_key())


def test_a_request_for_another_id_is_refused_even_when_the_names_are_cut_alike() -> None:
    request = identity.csr_make(KEY, "a" * 64 + "1")
    for other in ("cam-1", "a" * 64 + "2", "a" * 64):
        with pytest.raises(IdentityError):
            identity.csr_verify(request, other)


def test_a_request_whose_signature_was_changed_is_refused() -> None:

    der = bytearray(
        x509.load_pem_x509_csr(identity.csr_make(KEY, "cam-1").encode()).public_bytes(serialization.Encoding.DER)
    )
    der[-1] ^= 1
    try:
        pem = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    except ValueError:
        return
    with pytest.raises(IdentityError):
        identity.csr_verify(pem, "cam-1")


@pytest.mark.parametrize(
    "text", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----", "ü"]
)
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(IdentityError):
        identity.csr_verify(text, "cam-1")


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_a_key_of_another_kind_is_refused(key: Any) -> None:
    with pytest.raises(IdentityError, match="P-256"):
        identity.csr_verify(identity.csr_make(key, "cam-1"), "cam-1")


def test_a_key_survives_its_file() -> None:
    again = identity.key_from_pem(identity.key_to_pem(KEY))
    assert again.private_numbers() == KEY.private_numbers()
    with pytest.raises(IdentityError):
        identity.key_from_pem(b"nonsense")
    with pytest.raises(IdentityError):
        identity.public_key_from_der(b"nonsense")


# --- Assertions -------------------------------------------------------------------------------------------
def test_an_assertion_says_who_for_how_long_and_once() -> None:
    found = verify(assertion())
    assert (found.tenant, found.controller_id) == ("demo", "cam-1")
    assert found.expires_at - NOW <= timedelta(seconds=60)
    assert found.jti != verify(assertion()).jti


def test_the_claimed_subject_can_be_read_to_find_the_key() -> None:
    assert identity.assertion_subject(assertion()) == ("demo", "cam-1")
    with pytest.raises(IdentityError):
        identity.assertion_subject("nonsense")
    with pytest.raises(IdentityError):
        identity.assertion_subject(forged({"sub": "no-slash"}))


@pytest.mark.parametrize(
    "text",
    [
        forged({"aud": "https://elsewhere.example.org/demo"}),
        forged({"iss": "demo/cam-2"}),
        forged({"exp": int(NOW.timestamp()) + 61}),
        forged({"exp": int(NOW.timestamp()) + 10**12}),
        forged({"exp": int(NOW.timestamp()) - 1, "iat": int(NOW.timestamp()) - 2}),
        forged({"iat": int(NOW.timestamp()) + 31, "exp": int(NOW.timestamp()) + 60}),
        forged({"iat": int(NOW.timestamp()) + 60}),
        forged({"jti": None}),
        forged({"jti": ""}),
        forged({"jti": "j" * 129}),
        forged({"jti": 5}),
        forged({"exp": None}),
        forged({"exp": "soon"}),
        forged(typ="JWT"),
        forged(typ=identity.REPORT_TYPE),
        forged(key=OTHER),
        jwt.encode({"sub": "demo/cam-1"}, "", algorithm="none", headers={"typ": identity.ASSERTION_TYPE}),
        "",
        "a.b.c",
    ],
    ids=itertools.count(),  # signatures are random, and every worker must give a test the same name
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(IdentityError):
        verify(text)


def test_a_clock_a_little_ahead_is_tolerated_and_an_old_assertion_is_not() -> None:
    assert verify(assertion(now=NOW + timedelta(seconds=29))).controller_id == "cam-1"
    with pytest.raises(IdentityError, match="clock"):
        verify(assertion(), now=NOW + timedelta(seconds=61))


def test_two_devices_may_choose_the_same_jti() -> None:
    assert identity.jti_hash("demo", "a", "x") != identity.jti_hash("demo", "b", "x")


# --- Reports ----------------------------------------------------------------------------------------------
def test_a_report_comes_back_as_it_was_signed() -> None:
    assert identity.report_verify(identity.report_sign(report(), KEY), KEY.public_key(), "cam-1") == report()


def test_a_report_of_another_key_or_about_another_device_is_refused() -> None:
    with pytest.raises(IdentityError):
        identity.report_verify(identity.report_sign(report(), OTHER), KEY.public_key(), "cam-1")
    with pytest.raises(IdentityError):
        identity.report_verify(identity.report_sign(report(), KEY), KEY.public_key(), "cam-2")


def test_an_assertion_does_not_pass_for_a_report_nor_a_report_for_an_assertion() -> None:
    with pytest.raises(IdentityError):
        identity.report_verify(assertion(), KEY.public_key(), "cam-1")
    with pytest.raises(IdentityError):
        verify(identity.report_sign(report(), KEY))


def test_a_signed_message_that_is_no_report_is_refused() -> None:
    jws = jwt.PyJWS().encode(b"{}", KEY, algorithm="ES256", headers={"typ": identity.REPORT_TYPE})
    with pytest.raises(InvalidMessageError):
        identity.report_verify(jws, KEY.public_key(), "cam-1")


@pytest.mark.parametrize("text", ["", "a.b.c", "x" * 1000], ids=["empty", "short", "long"])
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(IdentityError):
        identity.report_verify(text, KEY.public_key(), "cam-1")
