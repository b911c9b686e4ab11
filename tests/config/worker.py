"""A real Celery worker on the test's database, restarted by the embedded installation's own means."""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from django.db import connection
from kombu import Connection

from common.jobs.service import job_enqueue
from common.models import Job, JobState
from config.celery import app
from config.embedded.child import Child, spawn
from config.embedded.processes import Address, ProcessSpec, process_table
from config.embedded.state import State
from tests.embedded.installation import eventually

SWEEP_S = 5.0


@dataclass(frozen=True)
class Worker:
    """The second worker of the installation's table, under supervision.

    Args:
        child: the supervised process; :meth:`until` looks after it.
        queue: it listens to.
        broker: makes a connection to its broker.
    """

    child: Child
    queue: str
    broker: Callable[[], Connection]

    @property
    def process(self) -> psutil.Process:
        """The worker itself, not one of its pool."""
        assert self.child.process is not None
        return psutil.Process(self.child.process.pid)

    def pool(self) -> list[psutil.Process]:
        """Who does its tasks."""
        if self.child.process is None or not psutil.pid_exists(self.child.process.pid):
            return []
        return [one for one in self.process.children() if one.status() != psutil.STATUS_ZOMBIE]

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until ``condition`` gives something true; meanwhile start the worker again if it ends."""

        def look() -> Any:
            self.child.watch()
            return condition()

        try:
            return eventually(look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.child.log.read_text(errors='replace')[-4000:]}") from error

    def submit(self, organization_id: int) -> Job:
        """A job of a kind every worker knows. It ends at once, because there is no such version."""
        return job_enqueue(
            organization_id=organization_id,
            kind="models_registry.validate",
            subject_kind="version",
            subject_id=uuid.uuid4(),
        )

    def does(self, job: Job) -> Callable[[], bool]:
        """Whether the job has been claimed and has ended; to wait for. Nudges as often as beat's sweep would."""
        nudged_at = -math.inf

        def has_ended() -> bool:
            nonlocal nudged_at
            if time.monotonic() - nudged_at > SWEEP_S:
                with self.broker() as broker:
                    app.send_task("common.run_jobs", args=["artifacts"], queue=self.queue, connection=broker)
                nudged_at = time.monotonic()
            job.refresh_from_db()
            return bool(job.worker) and job.state in {JobState.DONE, JobState.FAILED}

        return has_ended


@contextmanager
def running_worker(
    folder: Path,
    *arguments: str,
    broker_url: str = "filesystem://",
    queue: str = "artifacts",
) -> Iterator[Worker]:
    """Start one as the installation's table says, with further arguments, on a broker folder of its own."""
    for name in ("messages", "control"):
        (folder / "broker" / name).mkdir(parents=True)
    (spec,) = [one for one in process_table(State(folder), Address("127.0.0.1", 1)) if one.name == "worker-artifacts"]
    environment = {
        **os.environ,
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{_database()}").geturl(),
        "CELERY_BROKER_URL": broker_url,
        "FLOTILLA_BROKER_DIR": str(folder / "broker"),
    }
    command = (*spec.command, "--queues", queue, "--loglevel", "INFO", *arguments)
    child = Child(
        name=spec.name,
        log=folder / "worker.log",
        starter=spawn(ProcessSpec(name=spec.name, command=command), environment),
        announce=print,
    )

    def connect() -> Connection:
        messages = str(folder / "broker" / "messages")
        options = {
            "data_folder_in": messages,
            "data_folder_out": messages,
            "control_folder": str(folder / "broker" / "control"),
        }
        is_file = broker_url.startswith("filesystem:")
        return Connection(broker_url, transport_options=options if is_file else {})

    child.start()
    worker = Worker(child, queue, connect)
    try:
        worker.until(lambda: b"ready." in child.log.read_bytes())
        yield worker
    finally:
        child.kill()


def _database() -> str:
    return str(connection.settings_dict["NAME"])
