"""Real services beside the embedded database: found on this machine, or started privately from its programs.

Absence is a failure with ``REQUIRE_SERVICES=1``, else a skip that the closing summary repeats.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from config.embedded import postgres
from config.embedded.death import die_with_parent
from tests.debian import find

START_DEADLINE_S = 60


class ServiceMissingError(Exception):
    """The service is not here; the text names what to install."""


def is_required() -> bool:
    """Whether a missing service is a failure."""
    return os.environ.get("REQUIRE_SERVICES") == "1"


@dataclass(frozen=True)
class OldPostgres:
    """A role of one's own on an older PostgreSQL."""

    url: str
    version: str


@contextmanager
def oldest_postgres() -> Iterator[OldPostgres]:
    """The PostgreSQL of this machine: at 127.0.0.1:5432 if it trusts us, else started from the distribution's programs.

    A role and a database with random names are made for the run and dropped after it.

    Raises:
        ServiceMissingError: there is neither.
    """
    for user in ("postgres", "root"):
        with suppress(psycopg.OperationalError):
            with psycopg.connect(host="127.0.0.1", port=5432, user=user, dbname="postgres", connect_timeout=3):
                pass
            with _guest(f"host=127.0.0.1 port=5432 user={user} dbname=postgres", "127.0.0.1:5432", "") as found:
                yield found
            return
    program = find("/usr/lib/postgresql/*/bin/postgres")
    if program is None:
        raise ServiceMissingError("an older PostgreSQL (Debian package postgresql)")
    root = Path(tempfile.mkdtemp(prefix="flotilla-old-postgres-"))
    root.chmod(0o711)
    cluster = postgres.Cluster(root / "database" / "postgres", durable=False, programs=program.parent)
    postgres.prepare(cluster)
    with (root / "postgres.log").open("wb") as log:
        server = postgres.start(cluster, output=log.fileno(), preexec_fn=die_with_parent(signal.SIGINT))
    try:
        postgres.wait_until_ready(cluster, server)
        folder = cluster.socket_folder
        with _guest(f"host={folder} user=postgres dbname=postgres", "", f"?host={folder}") as found:
            yield found
    finally:
        postgres.stop(server)
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _guest(conninfo: str, location: str, query: str) -> Iterator[OldPostgres]:
    name = f"flotilla_{secrets.token_hex(4)}"
    identifier = sql.Identifier(name)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        version = str(connection.info.parameter_status("server_version"))
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(identifier))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier))
    try:
        yield OldPostgres(url=f"postgresql://{name}@{location}/{name}{query}", version=version)
    finally:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            left = connection.execute(
                "SELECT datname FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE rolname = %s", [name]
            ).fetchall()
            for (database,) in left:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
            connection.execute(sql.SQL("DROP ROLE {}").format(identifier))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _started(command: list[str], port: int, environment: dict[str, str] | None = None) -> Iterator[None]:
    """Run a service in the foreground until the block ends."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - prctl only
        )
        try:
            deadline = time.monotonic() + START_DEADLINE_S
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    text = log.read().decode(errors="replace")[-2000:]
                    raise AssertionError(f"{command[0]} did not start:\n{text}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def rabbitmq() -> Iterator[str]:
    """The AMQP address of a RabbitMQ: the one on port 5672, else a private one.

    Raises:
        ServiceMissingError: there is neither.
    """
    if _listens(5672):
        yield "amqp://guest:guest@127.0.0.1:5672//"
        return
    program = find("rabbitmq-server")
    if program is None:
        raise ServiceMissingError("RabbitMQ (Debian package rabbitmq-server)")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="flotilla-rabbitmq-") as folder:
        Path(folder).chmod(0o777)  # Debian's script changes to its own user
        environment = {
            "RABBITMQ_NODENAME": f"flotilla{port}@localhost",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(_free_port()),
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
        }
        with _started([str(program)], port, environment):
            yield f"amqp://guest:guest@127.0.0.1:{port}//"


@contextmanager
def mosquitto() -> Iterator[int]:
    """The loopback port of an MQTT broker of one's own.

    Raises:
        ServiceMissingError: Mosquitto is not installed.
    """
    program = find("mosquitto")
    if program is None:
        raise ServiceMissingError("Mosquitto (Debian package mosquitto)")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="flotilla-mosquitto-") as folder:
        configuration = Path(folder) / "mosquitto.conf"
        configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        Path(folder).chmod(0o755)
        configuration.chmod(0o644)
        with _started([str(program), "-c", str(configuration)], port):
            yield port
