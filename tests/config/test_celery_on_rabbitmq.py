"""The production broker: a real worker on a real RabbitMQ runs what a nudge asks for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from kombu import Connection

from common.jobs.service import job_enqueue
from common.models import JobState
from config.celery import app
from config.embedded.death import die_with_parent
from tests.embedded.installation import eventually
from tests.server import ROOT

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def queue(rabbitmq: str) -> Iterator[str]:
    """A queue of this test's own, gone afterwards."""
    name = f"flotilla-test-{uuid.uuid4().hex}"
    yield name
    with Connection(rabbitmq) as broker:
        broker.default_channel.queue_delete(name)


@pytest.fixture
def worker(rabbitmq: str, queue: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker as production runs it, on the test's database."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--pool", "solo"),
                *("--queues", queue, "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
            ],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database, "CELERY_BROKER_URL": rabbitmq},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - prctl only
        )
    eventually(lambda: b"ready." in log.read_bytes())
    yield process
    process.terminate()
    process.wait(30)


def test_a_nudge_over_rabbitmq_makes_a_worker_run_the_due_job(
    rabbitmq: str, queue: str, worker: subprocess.Popen[bytes], organization: Any
) -> None:
    """The job is of a kind this worker knows; its queue's name travels as the task's argument."""
    job = job_enqueue(
        organization_id=organization.pk,
        kind="models_registry.validate",
        subject_kind="version",
        subject_id=uuid.uuid4(),
    )
    with Connection(rabbitmq) as broker:
        app.send_task("common.run_jobs", args=["artifacts"], queue=queue, connection=broker)

    def has_ended() -> bool:
        job.refresh_from_db()
        return job.state in {JobState.DONE, JobState.FAILED}

    eventually(has_ended)
    assert job.worker, "a worker claimed it"
    assert job.attempt == 1
