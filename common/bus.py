"""What carries live messages between processes: PostgreSQL's NOTIFY behind an interface Redis could fill too.

The contract, which ``tests/common/test_live.py`` runs against every implementation:

- what one process sends, every open inlet receives, in the order sent;
- a payload of up to ``max_payload_bytes`` arrives whole;
- nothing is kept for inlets that open later: messages are hints, a listener refetches after a gap;
- any loss of the connection is a ``BusDownError``, after which the caller opens a new link.

NOTIFY has a connection of its own on either side: inside another transaction it would serialise that
transaction's commit with every other notifier's (PostgreSQL takes one lock for the queue).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import psycopg
from django.conf import settings
from django.db import connections

_CHANNEL = "flotilla"
_PROBE_AFTER_S = 15.0  # a silent connection is asked for a sign of life this often


class BusDownError(Exception):
    """The link is not there or broke; open a new one."""


class Outlet(Protocol):
    """The sending end; used by one thread."""

    def send(self, payloads: Sequence[str]) -> None:
        """Send in order; identical payloads of one call may arrive once. Raises ``BusDownError``."""

    def close(self) -> None:
        """Give the link back; never raises."""


class Inlet(Protocol):
    """The receiving end; used by one thread."""

    def receive(self, timeout_s: float) -> list[str]:
        """What arrived, as soon as it does, or ``[]`` after ``timeout_s``. Raises ``BusDownError``."""

    def close(self) -> None:
        """Give the link back; never raises."""


class Bus(Protocol):
    """Makes links. Opening one blocks for up to 5 s; ``BusDownError`` when the other side is away."""

    max_payload_bytes: int

    def outlet(self) -> Outlet:
        """A new sending end."""

    def inlet(self) -> Inlet:
        """A new receiving end; what is sent after this returns is received."""


def _connect() -> psycopg.Connection[Any]:
    """An autocommit connection to ``LIVE_DATABASE_URL``; keep-alives notice a dead peer within 30 s."""
    address: dict[str, Any] = dict(settings.LIVE_DATABASE_ADDRESS.conninfo)
    # Tests give Django another database name at run time; the live one follows unless it was set apart.
    if address["dbname"] == settings.DATABASE_ADDRESS.name:
        address["dbname"] = connections["default"].settings_dict["NAME"]
    try:
        return psycopg.connect(
            **address,
            autocommit=True,
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            application_name="flotilla-live",
        )
    except psycopg.Error as error:
        raise BusDownError("the live database connection cannot be opened") from error


class _PostgresOutlet:
    def __init__(self) -> None:
        self._connection = _connect()

    def send(self, payloads: Sequence[str]) -> None:
        try:
            self._connection.execute(
                "select pg_notify(%s, p) from unnest(%s::text[]) with ordinality as u(p, n) order by n",
                (_CHANNEL, list(payloads)),
            )
        except psycopg.Error as error:
            raise BusDownError("NOTIFY failed") from error

    def close(self) -> None:
        self._connection.close()


class _PostgresInlet:
    def __init__(self) -> None:
        self._connection = _connect()
        self._probe_at = time.monotonic() + _PROBE_AFTER_S
        try:
            self._connection.execute(f"listen {_CHANNEL}")
        except psycopg.Error as error:
            self._connection.close()
            raise BusDownError("LISTEN failed") from error

    def receive(self, timeout_s: float) -> list[str]:
        try:
            received = [n.payload for n in self._connection.notifies(timeout=timeout_s, stop_after=1)]
            if received:
                self._probe_at = time.monotonic() + _PROBE_AFTER_S
            elif time.monotonic() >= self._probe_at:
                self._connection.execute("select 1")
                self._probe_at = time.monotonic() + _PROBE_AFTER_S
        except psycopg.Error as error:
            raise BusDownError("the LISTEN connection broke") from error
        return received

    def close(self) -> None:
        self._connection.close()


class PostgresBus:
    """NOTIFY and LISTEN on one channel of the live database."""

    max_payload_bytes = 7_900  # PostgreSQL refuses 8,000 and more

    def outlet(self) -> Outlet:
        """A new NOTIFY connection."""
        return _PostgresOutlet()

    def inlet(self) -> Inlet:
        """A new LISTEN connection."""
        return _PostgresInlet()
