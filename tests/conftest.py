"""Fixtures of all tests.

People are ``owner`` (administrator), ``operator`` and ``viewer`` of one organization, and ``outsider``, the
administrator of another. ``server`` is the real server in a process of its own; ``jobs_drain`` does the work that
workers would do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection, transaction
from django.test import TransactionTestCase

from common import live
from common.jobs.service import jobs_run_due
from governance.models import Organization, Role
from tests import services
from tests.factories.people import Person, organization_make, person_make
from tests.server import Server
from tests.story import story

__all__ = ["story"]  # a fixture of another module

Service = TypeVar("Service")
QUEUES = ("rollouts", "default", "artifacts", "telemetry")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The test database; the live bus lets go of it before it is dropped."""
    yield
    live.shutdown()


# Filled by the migrations, and the same for every test.
KEPT_TABLES = {"django_migrations", "django_content_type", "auth_permission"}
_TABLES = """
SELECT quote_ident(relname) FROM pg_class
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
"""


def _empty_database(_test: TransactionTestCase) -> None:
    """Empty what a transactional test has filled, partitioned tables included.

    Django's own way truncates every table and makes the content types again; deleting from the few tables that
    have rows is some ten times faster. The audit log's trigger is told to look away, and nothing else is.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TABLES)
        tables = [name for (name,) in cursor.fetchall() if name not in KEPT_TABLES]
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in tables))  # noqa: S608
        filled = [name for (name,) in cursor.fetchall()]
        if "governance_auditentry" in filled:
            cursor.execute("ALTER TABLE governance_auditentry DISABLE TRIGGER USER")
        for name in filled:
            cursor.execute(f"DELETE FROM {name}")  # noqa: S608 - names from the catalogue
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if "governance_auditentry" in filled:
            cursor.execute("ALTER TABLE governance_auditentry ENABLE TRIGGER USER")


@pytest.fixture(scope="session", autouse=True)
def _empty_databases_quickly() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", _empty_database)
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """The same hash with the least work: what is tested is who gets in, not how slow guessing is."""
    patch = pytest.MonkeyPatch()
    patch.setattr(Argon2PasswordHasher, "time_cost", 1)
    patch.setattr(Argon2PasswordHasher, "memory_cost", 8)
    patch.setattr(Argon2PasswordHasher, "parallelism", 1)
    yield
    patch.undo()


@pytest.fixture
def organization(db: None) -> Organization:
    return organization_make("acme")


@pytest.fixture
def other_organization(db: None) -> Organization:
    return organization_make("other")


@pytest.fixture
def owner(organization: Organization) -> Person:
    return person_make(organization, Role.ADMINISTRATOR)


@pytest.fixture
def operator(organization: Organization) -> Person:
    return person_make(organization, Role.OPERATOR)


@pytest.fixture
def viewer(organization: Organization) -> Person:
    return person_make(organization, Role.VIEWER)


@pytest.fixture
def outsider(other_organization: Organization) -> Person:
    return person_make(other_organization, Role.ADMINISTRATOR)


@pytest.fixture
def anonymous() -> Person:
    return Person()


@pytest.fixture
def jobs_drain() -> Callable[[], int]:
    """Run every job that is due now, and those they make, in this process; returns how many were run.

    For tests with ``django_db(transaction=True)``: a job's lease is renewed through a second connection.
    """

    def drain() -> int:
        total = 0
        while count := sum(jobs_run_due(queue) for queue in QUEUES):
            total += count
            assert total < 1000, "jobs make jobs without end"
        return total

    return drain


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server") / "server.log")
    yield server
    server.stop()


@pytest.fixture
def server(transactional_db: None, _server: Server) -> Server:
    """The running server at ``server.url``. It lasts for the run; a test may kill it, the next finds it alive."""
    if not _server.is_running:
        _server.start()
    return _server


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[str]:
    """The AMQP address of a real RabbitMQ."""
    yield from _service(services.rabbitmq)


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[int]:
    """The loopback port of a real Mosquitto."""
    yield from _service(services.mosquitto)


def _service(manager: Callable[[], AbstractContextManager[Service]]) -> Iterator[Service]:
    with ExitStack() as stack:
        try:
            service = stack.enter_context(manager())
        except services.ServiceMissingError as error:
            if services.is_required():
                pytest.fail(f"{error} is required and not here")
            pytest.skip(f"not here: {error}")
        yield service


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the run stood on; skips are listed with their reasons by ``-ra``."""
    terminalreporter.write_line(f"database: {os.environ['FLOTILLA_TEST_DATABASE']}")
