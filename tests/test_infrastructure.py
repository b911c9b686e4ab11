"""The tests' own ground: what every other test stands on."""

from __future__ import annotations

import socket

import httpx
import pytest
from django.db import connection

from governance.authentication import caller_from_token
from tests.factories.people import Person
from tests.network import NetworkBlockedError
from tests.server import Server


def test_each_person_is_who_they_say(owner: Person, operator: Person, viewer: Person, outsider: Person) -> None:
    roles = {
        name: (caller_from_token(person.token).role, person.organization.slug)
        for name, person in {"owner": owner, "operator": operator, "viewer": viewer, "outsider": outsider}.items()
    }
    assert roles == {
        "owner": ("administrator", "acme"),
        "operator": ("operator", "acme"),
        "viewer": ("viewer", "acme"),
        "outsider": ("administrator", "other"),
    }


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 80)])
def test_a_test_cannot_reach_another_machine(address: tuple[str, int]) -> None:
    with socket.socket() as client, pytest.raises(NetworkBlockedError):
        client.connect(address)


@pytest.mark.django_db
@pytest.mark.sql
def test_the_run_has_a_database_of_its_own_as_an_ordinary_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), usesuper FROM pg_user WHERE usename = current_user")
        name, is_superuser = cursor.fetchone()
    assert name.startswith("test_flotilla")
    assert not is_superuser


def test_the_real_server_answers_and_comes_back_after_it_was_killed(server: Server) -> None:
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}
    server.kill()
    assert not server.is_running
    server.start()
    assert httpx.get(f"{server.url}/readyz").json()["checks"]["database"] == "ok"


@pytest.mark.xdist_group("ground")
def test_tests_of_one_group_run_on_one_worker(request: pytest.FixtureRequest) -> None:
    """Some pytest releases make pytest-xdist ignore groups without a word; what takes minutes is then made twice."""
    is_grouping = getattr(request.config.option, "loadgroup", False)
    assert request.node.nodeid.endswith("@ground") == is_grouping
