"""Signing in and out of the dashboard."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session

from common.clock import advanced
from governance.models import AuditEntry, Membership, SignInBudget, User
from governance.services.sign_in import ATTEMPTS_PER_ADDRESS, ATTEMPTS_PER_NAME, sessions_purge
from tests.factories.people import Person

ADDRESS = "/api/v1/session/"


class Browser(Person):
    """A browser: cookies, and the CSRF header with what the cookie says."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True)

    def csrf(self) -> dict[str, str]:
        cookie = self.cookies.get(settings.CSRF_COOKIE_NAME)
        return {"X-CSRFToken": cookie.value} if cookie else {}

    def sign_in(self, username: str, password: str, **extra: Any) -> Any:
        self.get(ADDRESS)
        body = {"username": username, "password": password}
        return self.post(ADDRESS, body, headers=self.csrf(), **extra)


@pytest.fixture
def browser() -> Browser:
    return Browser()


def test_nobody_is_signed_in_at_first_and_the_csrf_cookie_is_set(browser: Browser, db: None) -> None:
    answer = browser.get(ADDRESS)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert browser.csrf()


def test_signing_in_says_who_and_where_and_with_which_role(browser: Browser, operator: Person) -> None:
    answer = browser.sign_in(operator.username, operator.password)

    assert answer.status_code == 200
    body = answer.json()
    assert body["user"]["username"] == operator.username
    assert body["organization"]["slug"] == operator.organization.slug
    assert (body["role"], body["is_demo"]) == ("operator", False)
    assert body["csrf_token"]
    assert browser.get(ADDRESS).json()["user"] == body["user"]
    assert browser.get("/api/v1/devices/").status_code == 200
    assert AuditEntry.objects.filter(action="session.sign_in").count() == 1


def test_signing_in_changes_session_and_csrf_token(browser: Browser, operator: Person) -> None:
    browser.sign_in(operator.username, operator.password)
    session, csrf = browser.cookies[settings.SESSION_COOKIE_NAME].value, browser.csrf()["X-CSRFToken"]

    browser.sign_in(operator.username, operator.password)

    assert browser.cookies[settings.SESSION_COOKIE_NAME].value != session
    assert browser.csrf()["X-CSRFToken"] != csrf
    assert not Session.objects.filter(session_key=session).exists()


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: Browser, operator: Person) -> None:
    browser.sign_in(operator.username, operator.password)

    cookie = browser.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_unknown_name_wrong_password_and_inactive_account_are_told_alike(browser: Browser, operator: Person) -> None:
    answers = [browser.sign_in("nobody", "x"), browser.sign_in(operator.username, "wrong")]
    User.objects.filter(username=operator.username).update(is_active=False)
    answers.append(browser.sign_in(operator.username, operator.password))

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["code"] for answer in answers} == {"governance.sign_in_refused"}
    assert len({answer.json()["message"] for answer in answers}) == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"username": "a"}, {"username": "a\x00", "password": "b"}, {"username": "a" * 151, "password": "b"}, []],
)
def test_a_sign_in_that_cannot_be_understood_is_a_400(browser: Browser, db: None, body: Any) -> None:
    browser.get(ADDRESS)

    assert browser.post(ADDRESS, body, headers=browser.csrf()).status_code == 400


def test_signing_in_needs_the_csrf_token(browser: Browser, operator: Person) -> None:
    browser.get(ADDRESS)
    body = {"username": operator.username, "password": operator.password}

    assert browser.post(ADDRESS, body).json()["code"] == "csrf_failed"
    assert browser.post(ADDRESS, body, headers={"X-CSRFToken": "x" * 32}).json()["code"] == "csrf_failed"


def test_a_session_changes_nothing_without_the_csrf_token(browser: Browser, operator: Person) -> None:
    browser.sign_in(operator.username, operator.password)

    without = browser.post("/api/v1/regions/", {"name": "north"})
    with_token = browser.post("/api/v1/regions/", {"name": "north"}, headers=browser.csrf())

    assert (without.status_code, without.json()["code"]) == (403, "csrf_failed")
    assert with_token.status_code == 201


def test_signing_out_ends_the_session(browser: Browser, operator: Person) -> None:
    browser.sign_in(operator.username, operator.password)
    session = browser.cookies[settings.SESSION_COOKIE_NAME].value

    answer = browser.delete(ADDRESS, headers=browser.csrf())

    assert answer.status_code == 204
    assert browser.get(ADDRESS).status_code == 401
    assert not Session.objects.filter(session_key=session).exists()
    assert browser.delete(ADDRESS).status_code == 204


def test_guessing_one_name_ends_in_429_with_the_time_to_wait(browser: Browser, operator: Person) -> None:
    for _ in range(ATTEMPTS_PER_NAME):
        assert browser.sign_in(operator.username, "wrong").status_code == 401

    answer = browser.sign_in(operator.username, operator.password)

    assert (answer.status_code, answer.json()["code"]) == (429, "governance.sign_in_limited")
    assert 0 < int(answer["Retry-After"]) <= 300
    assert browser.sign_in(operator.username.upper(), "wrong").status_code == 429
    with advanced(timedelta(minutes=6)):
        assert browser.sign_in(operator.username, operator.password).status_code == 200


def test_guessing_names_from_one_address_ends_in_429_and_leaves_others_alone(
    browser: Browser, operator: Person
) -> None:
    budget = SignInBudget.objects
    browser.sign_in("somebody", "wrong", REMOTE_ADDR="192.0.2.1")
    budget.update(attempts=ATTEMPTS_PER_ADDRESS)
    rows = budget.count()

    answer = browser.sign_in("another", "wrong", REMOTE_ADDR="192.0.2.1")

    assert answer.status_code == 429
    assert budget.count() == rows  # a refused address does not fill the table with names
    assert browser.sign_in(operator.username, operator.password, REMOTE_ADDR="192.0.2.2").status_code == 200


def test_a_good_sign_in_gives_the_names_attempts_back(browser: Browser, operator: Person) -> None:
    for _ in range(2):
        for _ in range(ATTEMPTS_PER_NAME - 1):
            browser.sign_in(operator.username, "wrong")
        assert browser.sign_in(operator.username, operator.password).status_code == 200


def test_a_new_password_ends_sessions(browser: Browser, operator: Person) -> None:
    browser.sign_in(operator.username, operator.password)
    user = User.objects.get(username=operator.username)
    user.set_password("another-long-password")
    user.save()

    assert browser.get(ADDRESS).status_code == 401


def test_who_belongs_nowhere_is_let_in_nowhere(browser: Browser, operator: Person) -> None:
    Membership.objects.filter(user__username=operator.username).delete()

    assert browser.sign_in(operator.username, operator.password).status_code == 403


def test_passwords_are_kept_as_argon2(operator: Person) -> None:
    assert User.objects.get(username=operator.username).password.startswith("argon2$argon2id$")


def test_sessions_and_budgets_of_the_past_are_removed(browser: Browser, operator: Person) -> None:
    browser.sign_in("somebody", "wrong")
    browser.sign_in(operator.username, operator.password)
    assert sessions_purge() == 0
    with advanced(timedelta(days=15)):
        sessions_purge()
    assert not SignInBudget.objects.exists()
    assert not Session.objects.exists()
