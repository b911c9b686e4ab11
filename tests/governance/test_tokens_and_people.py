"""API tokens, people, and the first of everything."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from common.clock import advanced
from common.errors import InvalidInputError
from governance.errors import OrganizationExistsError, UserExistsError
from governance.models import ApiToken, AuditEntry, Membership, Organization
from governance.services.organizations import organization_create
from governance.services.people import user_create
from tests.factories.people import Person

ADDRESS = "/api/v1/api-tokens/"


def with_token(text: str) -> Person:
    person = Person()
    person.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return person


def make(person: Person, **body: Any) -> dict[str, Any]:
    answer = person.post(ADDRESS, {"name": "ci", "role": "operator", **body})
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


# --- API tokens -----------------------------------------------------------------------------------
def test_a_new_token_works_and_is_shown_once(owner: Person) -> None:
    made = make(owner)

    assert made["token"].startswith("flt_")
    assert len(made["token"]) >= len("flt_") + 43  # 256 bits
    assert made["prefix"] == made["token"][:12]
    assert with_token(made["token"]).get("/api/v1/devices/").status_code == 200
    listed = owner.get(ADDRESS).json()["results"]
    assert all("token" not in row for row in listed)
    assert next(row for row in listed if row["id"] == made["id"])["last_used_at"] is not None
    assert made["token"].encode() not in b"".join(bytes(row.token_hash) for row in ApiToken.objects.all())


def test_a_token_does_what_its_role_may(owner: Person) -> None:
    reader = with_token(make(owner, role="viewer")["token"])

    assert reader.get("/api/v1/regions/").status_code == 200
    assert reader.post("/api/v1/regions/", {"name": "north"}).status_code == 403
    assert reader.get(ADDRESS).status_code == 403


def test_only_administrators_make_tokens_so_none_exceeds_its_maker(operator: Person, viewer: Person) -> None:
    for person in (operator, viewer):
        for role in ("viewer", "operator", "administrator"):
            assert person.post(ADDRESS, {"name": "ci", "role": role}).status_code == 403


def test_a_revoked_and_an_expired_token_end(owner: Person) -> None:
    revoked, expiring = make(owner), make(owner, expires_in_s=60)
    for _ in range(2):
        assert owner.post(f"{ADDRESS}{revoked['id']}/revoke/").json()["state"] == "revoked"

    assert with_token(revoked["token"]).get("/api/v1/devices/").status_code == 401
    assert with_token(expiring["token"]).get("/api/v1/devices/").status_code == 200
    with advanced(timedelta(minutes=2)):
        answer = with_token(expiring["token"]).get("/api/v1/devices/")
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
        states = {row["id"]: row["state"] for row in owner.get(ADDRESS).json()["results"]}
        assert states[expiring["id"]] == "expired"
    assert AuditEntry.objects.filter(action="api_token.revoke").count() == 1


@pytest.mark.parametrize(
    "body", [{"role": "god"}, {"name": ""}, {"expires_in_s": 0}, {"expires_in_s": 10**12}, {"name": "x" * 129}]
)
def test_a_token_that_makes_no_sense_is_a_400(owner: Person, body: dict[str, Any]) -> None:
    assert owner.post(ADDRESS, {"name": "ci", "role": "viewer", **body}).status_code == 400


@pytest.mark.parametrize("header", ["Bearer x", "Bearer flt_" + "x" * 43, "Bearer \xff", "Bearer", "Basic eDp5"])
def test_a_bad_token_is_a_401(owner: Person, header: str) -> None:
    person = Person()
    person.credentials(HTTP_AUTHORIZATION=header)

    assert person.get("/api/v1/devices/").status_code == 401


def test_another_organizations_token_does_not_exist(owner: Person, outsider: Person) -> None:
    made = make(owner)

    assert outsider.post(f"{ADDRESS}{made['id']}/revoke/").status_code == 404
    assert made["id"] not in {row["id"] for row in outsider.get(ADDRESS).json()["results"]}


# --- People and organizations ---------------------------------------------------------------------
def test_people_are_the_organizations_own(owner: Person, viewer: Person, outsider: Person) -> None:
    rows = viewer.get("/api/v1/people/").json()["results"]

    assert {(row["username"], row["role"]) for row in rows} == {
        (owner.username, "administrator"),
        (viewer.username, "viewer"),
    }
    assert set(rows[0]) == {"id", "username", "name", "role", "joined_at"}
    assert {row["username"] for row in outsider.get("/api/v1/people/").json()["results"]} == {outsider.username}


@pytest.mark.parametrize("slug", ["", "-a", "a-", "a b", "ä", "a/b", "api", "static", "x" * 65, "a\x00"])
def test_a_slug_that_cannot_be_in_a_path_is_refused(db: None, slug: str) -> None:
    with pytest.raises(InvalidInputError):
        organization_create(slug=slug, name="A")


def test_a_slug_is_kept_in_lower_case_and_taken_once(db: None) -> None:
    assert organization_create(slug="Acme", name="A").slug == "acme"
    with pytest.raises(OrganizationExistsError):
        organization_create(slug="ACME", name="B")


@pytest.mark.parametrize(
    ("username", "password"),
    [("", "long-enough-password"), ("a b", "long-enough-password"), ("a", "short"), ("a", "1qaz2wsx3edc")],
)
def test_a_person_with_an_unusable_name_or_a_weak_password_is_refused(db: None, username: str, password: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        user_create(username=username, password=password)
    assert refusal.value.fields


def test_a_user_name_is_taken_once(operator: Person) -> None:
    with pytest.raises(UserExistsError):
        user_create(username=operator.username, password="long-enough-password")


# --- manage.py flotilla_init ----------------------------------------------------------------------
def init(capsys: pytest.CaptureFixture[str], *arguments: str, organization: str = "acme") -> dict[str, Any]:
    call_command("flotilla_init", "--organization", organization, "--name", "Acme", "--username", "admin", *arguments)
    (line,) = capsys.readouterr().out.splitlines()
    values: dict[str, Any] = json.loads(line)
    return values


def test_the_first_call_makes_everything_and_prints_it_as_one_line(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    made = init(capsys)

    assert set(made) == {"organization", "username", "password", "api_token"}
    assert (made["organization"], made["username"]) == ("acme", "admin")
    assert with_token(made["api_token"]).get(ADDRESS).status_code == 200
    browser = Person()
    body = {"username": "admin", "password": made["password"]}
    assert browser.post("/api/v1/session/", body).json()["role"] == "administrator"


def test_a_second_call_changes_nothing_and_has_no_secret_to_tell(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    first = init(capsys)
    entries = AuditEntry.objects.count()

    second = init(capsys)

    assert second == {"organization": "acme", "username": "admin", "password": None, "api_token": None}
    assert AuditEntry.objects.count() == entries
    assert with_token(first["api_token"]).get(ADDRESS).status_code == 200


def test_lost_secrets_are_renewed_on_request_and_the_old_ones_end(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    first = init(capsys)

    second = init(capsys, "--renew")

    assert second["password"] != first["password"]
    assert with_token(first["api_token"]).get(ADDRESS).status_code == 401
    assert with_token(second["api_token"]).get(ADDRESS).status_code == 200


def test_a_second_organization_may_have_the_same_administrator(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    init(capsys)

    second = init(capsys, organization="second")

    assert second["password"] is None
    assert with_token(second["api_token"]).get("/api/v1/people/").json()["results"][0]["username"] == "admin"
    assert Organization.objects.count() == Membership.objects.count() == 2


def test_what_cannot_be_made_is_one_clear_line_and_nothing_is_left(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="slug"):
        init(capsys, organization="not a slug")
    assert not Organization.objects.exists()
