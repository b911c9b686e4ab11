"""The production broker: a real worker on a real RabbitMQ runs what a nudge asks for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tests.config.worker import Worker, running_worker

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def queue(rabbitmq: str) -> Iterator[str]:
    """A queue of this test's own, gone afterwards."""
    name = f"flotilla-test-{uuid.uuid4().hex}"
    yield name
    with Connection(rabbitmq) as broker:
        broker.default_channel.queue_delete(name)


@pytest.fixture
def worker(rabbitmq: str, queue: str, tmp_path: Path) -> Iterator[Worker]:
    """A Celery worker as production runs it, on the test's database."""
    with running_worker(tmp_path, broker_url=rabbitmq, queue=queue) as running:
        yield running


def test_a_nudge_over_rabbitmq_makes_a_worker_run_the_due_job(worker: Worker, organization: Any) -> None:
    """The job is of a kind this worker knows; its queue's name travels as the task's argument."""
    job = worker.submit(organization.pk)

    worker.until(worker.does(job))

    assert job.attempt == 1


def test_a_killed_process_of_the_pool_is_replaced_and_the_worker_stays(worker: Worker, organization: Any) -> None:
    before = worker.process
    (waiting,) = worker.pool()
    waiting.kill()
    worker.until(lambda: set(worker.pool()) - {waiting})

    worker.until(worker.does(worker.submit(organization.pk)))

    assert (worker.child.restarts, worker.process) == (0, before)
