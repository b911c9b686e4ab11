"""A job while its database restarts: it lives on within its lease, and is given up and done again after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from config.embedded import postgres
from config.embedded.death import die_with_parent
from config.embedded.state import ROOT
from tests.embedded.installation import eventually


@dataclass
class Database:
    """A server of the test's own."""

    cluster: postgres.Cluster
    log: Path
    server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        postgres.clear_leftovers(self.cluster)
        with self.log.open("ab") as output:
            self.server = postgres.start(
                self.cluster, output=output.fileno(), preexec_fn=die_with_parent(signal.SIGINT)
            )
        postgres.wait_until_ready(self.cluster, self.server)

    def kill(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.server.wait()

    def stop(self) -> None:
        assert self.server is not None
        postgres.stop(self.server)

    def lease_until(self) -> datetime:
        """The end of the one job's lease."""
        with self.cluster.connection("flotilla") as connection:
            row = connection.execute("SELECT lease_until FROM common_job WHERE state = 'running'").fetchone()
        assert row is not None
        assert isinstance(row[0], datetime)
        return row[0]


@dataclass
class Patient:
    """A process that works on one job; see ``patient_job``."""

    folder: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *, lease_s: float) -> None:
        (self.folder / "lines").touch()
        # The log goes to a file of its own: its threads would write into the middle of lines.
        with (self.folder / "said").open("wb") as output, (self.folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "tests.resilience.patient_job", str(self.folder / "lines"), str(lease_s)]
            self.started.append(subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=output, stderr=log))

    def tell(self, line: str) -> None:
        with (self.folder / "lines").open("a") as lines:
            lines.write(f"{line}\n")

    def until_it_says(self, line: str) -> None:
        def is_said() -> bool:
            assert line in self.said().splitlines() or self.started[-1].poll() is None, "it ended"
            return line in self.said().splitlines()

        try:
            eventually(is_said, deadline_s=30)
        except AssertionError as error:
            raise AssertionError(f"{error}: {line}\n{self.said()}\n{(self.folder / 'log').read_text()}") from error

    def said(self) -> str:
        return (self.folder / "said").read_text()


@pytest.fixture
def database(folder: Path) -> Iterator[Database]:
    folder.chmod(0o711)  # the server's user must get through
    cluster = postgres.Cluster(folder / "database" / "postgres", durable=False)
    postgres.prepare(cluster)
    database = Database(cluster, folder / "postgres.log")
    database.start()
    postgres.ensure_database(cluster)
    yield database
    database.stop()
    postgres.clear_leftovers(cluster)


@pytest.fixture
def patient(folder: Path, database: Database) -> Iterator[Patient]:
    patient = Patient(folder, {**os.environ, "DATABASE_URL": database.cluster.url()})
    yield patient
    for process in patient.started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("end", [Database.stop, Database.kill])
def test_a_restart_within_the_lease_goes_unnoticed(
    database: Database, patient: Patient, end: Callable[[Database], None]
) -> None:
    patient.start(lease_s=9)  # renewed every three seconds
    patient.until_it_says("attempt 1")
    end(database)
    database.start()

    # The handler's own connection finds the new server, and so does the heartbeat's.
    patient.tell("progress")
    patient.until_it_says("progressed")
    for _ in range(2):
        lease = database.lease_until()
        eventually(lambda lease=lease: database.lease_until() > lease)
    patient.tell("return")
    patient.until_it_says("done after 1")


def test_a_job_may_end_while_the_database_is_away(database: Database, patient: Patient) -> None:
    patient.start(lease_s=30)
    patient.until_it_says("attempt 1")
    database.kill()
    patient.tell("return")
    database.start()
    patient.until_it_says("done after 1")


def test_a_database_away_for_longer_than_the_lease_makes_the_worker_give_the_job_up(
    database: Database, patient: Patient
) -> None:
    patient.start(lease_s=1)
    patient.until_it_says("attempt 1")
    database.kill()
    patient.tell("progress")
    patient.until_it_says("lost")
    database.start()

    patient.until_it_says("attempt 2")  # claimed again, by whoever comes first
    patient.tell("return")
    patient.until_it_says("done after 2")
