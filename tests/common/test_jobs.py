"""Jobs: a row with a lease gives at-least-once whatever the broker loses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction

from common.clock import advanced
from common.errors import ConflictError, InvalidInputError, UnavailableError
from common.jobs import registry
from common.jobs.registry import Handler, job_handler
from common.jobs.service import JobContext, JobLostError, job_cancel, job_enqueue, job_retry, jobs_run_due
from common.models import Job, JobState

pytestmark = [pytest.mark.sql, pytest.mark.django_db(transaction=True)]

QUEUE = "test-jobs"


@pytest.fixture
def handle() -> Iterator[Any]:
    """Register a handler for jobs of kind ``test.work`` for one test."""

    def register(handler: Handler) -> None:
        registry._kinds.pop("test.work", None)
        job_handler("test.work", queue=QUEUE, lease_s=60)(handler)

    yield register
    registry._kinds.pop("test.work", None)


def enqueue(**values: Any) -> Job:
    return job_enqueue(organization_id=1, kind="test.work", **values)


def test_a_job_runs_once_and_keeps_its_result(handle: Any) -> None:
    seen: list[dict[str, Any]] = []

    def work(context: JobContext) -> dict[str, Any]:
        seen.append(context.job.arguments)
        context.progress(0.5, "half way")
        return {"rows": 3}

    handle(work)
    job = enqueue(arguments={"file": 7})

    assert jobs_run_due(QUEUE) == 1
    assert jobs_run_due(QUEUE) == 0

    job.refresh_from_db()
    assert (job.state, job.result, job.progress_ratio, job.attempt) == (JobState.DONE, {"rows": 3}, 1.0, 1)
    assert job.finished_at is not None
    assert seen == [{"file": 7}]


def test_a_job_of_a_transaction_that_rolls_back_never_runs(handle: Any) -> None:
    handle(lambda _: None)
    with transaction.atomic():
        enqueue()
        transaction.set_rollback(True)

    assert jobs_run_due(QUEUE) == 0


def test_an_unknown_kind_is_refused_when_it_is_enqueued() -> None:
    with pytest.raises(KeyError):
        job_enqueue(organization_id=1, kind="test.nobody")


def test_an_expected_error_fails_the_job_at_once_with_its_code(handle: Any) -> None:
    def work(context: JobContext) -> None:
        raise InvalidInputError("The file is no model.", code="test.no_model")

    handle(work)
    job = enqueue()
    jobs_run_due(QUEUE)

    job.refresh_from_db()
    assert (job.state, job.error_code, job.error_text) == (JobState.FAILED, "test.no_model", "The file is no model.")


def test_a_retryable_error_waits_and_then_succeeds(handle: Any) -> None:
    attempts: list[int] = []

    def work(context: JobContext) -> None:
        attempts.append(context.job.attempt)
        if len(attempts) == 1:
            raise UnavailableError("The store did not answer.")

    handle(work)
    job = enqueue()

    assert jobs_run_due(QUEUE) == 1
    job.refresh_from_db()
    assert (job.state, job.error_code) == (JobState.QUEUED, "unavailable")
    assert jobs_run_due(QUEUE) == 0, "it waits out its back-off"

    with advanced(timedelta(minutes=10)):
        assert jobs_run_due(QUEUE) == 1
    job.refresh_from_db()
    assert (job.state, job.error_code, attempts) == (JobState.DONE, "", [1, 2])


def test_attempts_end_in_failed_with_the_reason(handle: Any) -> None:
    def work(context: JobContext) -> None:
        raise UnavailableError("The store did not answer.")

    handle(work)
    job = enqueue(max_attempts=2)
    for hours in (0, 1):
        with advanced(timedelta(hours=hours)):
            jobs_run_due(QUEUE)

    job.refresh_from_db()
    assert (job.state, job.attempt, job.error_code) == (JobState.FAILED, 2, "unavailable")


def test_a_dead_workers_job_is_taken_over_after_its_lease(handle: Any) -> None:
    """The row a killed worker leaves behind: running, lease not renewed."""
    handle(lambda context: {"by": context.job.attempt})
    job = enqueue()
    Job.objects.filter(pk=job.pk).update(
        state=JobState.RUNNING, attempt=1, worker="dead", lease_until=job.created_at + timedelta(seconds=60)
    )

    assert jobs_run_due(QUEUE) == 0, "the lease still holds"
    with advanced(timedelta(seconds=61)):
        assert jobs_run_due(QUEUE) == 1

    job.refresh_from_db()
    assert (job.state, job.result) == (JobState.DONE, {"by": 2})


def test_a_job_is_claimed_for_as_long_as_its_kind_says(handle: Any) -> None:
    """A kind with a long lease renews it seldom; until then the claim must hold."""
    handle(lambda context: {"lease_s": (context.job.lease_until - context.job.heartbeat_at).total_seconds()})
    registry._kinds["test.work"] = replace(registry._kinds["test.work"], lease_s=600)
    job = enqueue()
    jobs_run_due(QUEUE)

    job.refresh_from_db()
    assert job.result == {"lease_s": 600}


def test_a_handler_whose_database_fails_is_tried_again(handle: Any) -> None:
    def work(context: JobContext) -> None:
        raise OperationalError("the server closed the connection")

    handle(work)
    job = enqueue()
    jobs_run_due(QUEUE)

    job.refresh_from_db()
    assert (job.state, job.attempt, job.error_code) == (JobState.QUEUED, 1, "unavailable")


def test_a_job_that_kills_its_worker_each_time_ends_in_failed(handle: Any) -> None:
    ran: list[int] = []
    handle(lambda _: ran.append(1))
    job = enqueue(max_attempts=2)
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING, attempt=2, worker="dead", lease_until=job.created_at)
    with advanced(timedelta(seconds=1)):
        jobs_run_due(QUEUE)

    job.refresh_from_db()
    assert (job.state, job.error_code, ran) == (JobState.FAILED, "jobs.worker_died", [])


def test_a_worker_that_lost_its_lease_changes_nothing(handle: Any) -> None:
    def work(context: JobContext) -> dict[str, Any]:
        Job.objects.filter(pk=context.job.pk).update(worker="the one that took over", attempt=2)
        with pytest.raises(JobLostError):
            context.progress(0.9)
        return {"late": True}

    handle(work)
    job = enqueue()
    jobs_run_due(QUEUE)

    job.refresh_from_db()
    assert (job.state, job.result, job.progress_ratio) == (JobState.RUNNING, None, 0.0)


def test_a_cancelled_job_stops_at_its_next_progress_report(handle: Any) -> None:
    reached_the_end: list[bool] = []

    def work(context: JobContext) -> None:
        job_cancel(job_id=context.job.pk)
        context.progress(0.5)
        reached_the_end.append(True)

    handle(work)
    job = enqueue()
    jobs_run_due(QUEUE)

    job.refresh_from_db()
    assert (job.state, reached_the_end) == (JobState.CANCELLED, [])
    with pytest.raises(ConflictError):
        job_cancel(job_id=job.pk)


def test_a_failed_job_can_be_retried_and_a_done_one_cannot(handle: Any) -> None:
    outcomes = iter([InvalidInputError("Not yet."), None])

    def work(context: JobContext) -> None:
        error = next(outcomes)
        if error:
            raise error

    handle(work)
    job = enqueue(max_attempts=1)
    jobs_run_due(QUEUE)
    job_retry(job_id=job.pk)
    jobs_run_due(QUEUE)

    job.refresh_from_db()
    assert job.state == JobState.DONE
    with pytest.raises(ConflictError):
        job_retry(job_id=job.pk)


def test_a_limit_leaves_the_rest_for_the_next_round(handle: Any) -> None:
    handle(lambda _: None)
    for _ in range(3):
        enqueue()

    assert jobs_run_due(QUEUE, limit=2) == 2
    assert jobs_run_due(QUEUE, limit=2) == 1
