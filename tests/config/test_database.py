"""Connections to the database: a pool whose members may have outlived their server."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection

from tests.factories.people import Person


@pytest.mark.django_db(transaction=True)
def test_a_pooled_connection_that_the_database_has_ended_fails_no_request(owner: Person) -> None:
    pids: set[int] = set()
    while (backend := _backend())[0] not in pids:  # the pool gives its connections in turn
        pids.add(backend[0])
    _, user, database = backend
    host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"]
    with psycopg.connect(host=host, port=port, user=user, dbname=database, autocommit=True) as other:
        for pid in pids:
            assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone() == (True,)

    for _ in pids:
        assert owner.get("/api/v1/devices/").status_code == 200


def _backend() -> tuple[int, str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_user, current_database()")
        pid, user, database = cursor.fetchone()
    connection.close()  # back into the pool, as at the end of a request
    return pid, user, database
