"""Enqueue, claim, run, finish.

A worker claims a job with one conditional UPDATE and owns it as long as it renews the lease. Every later write carries
``(id, worker, attempt)`` in its condition, so a worker that lost its lease, however late it wakes up, changes nothing.
At-least-once follows from the row, not from the broker: after a lost message the next periodic sweep finds the job.
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import F, Q

from common.clock import now
from common.errors import ConflictError, DomainError, UnavailableError
from common.ids import uuid7
from common.jobs.registry import JobKind, job_kind, job_leases
from common.live import publish
from common.models import Job, JobState
from common.nudge import nudge

logger = logging.getLogger(__name__)

_BACKOFF_BASE_S = 2.0
_BACKOFF_MAX_S = 300.0
_AWAY_PAUSE_S = 0.2  # between two attempts to reach a database that is away


class JobLostError(Exception):
    """The lease is somebody else's now, or the job was cancelled: stop at once and write nothing."""


class JobContext:
    """What a handler sees of its job.

    A thread renews the lease while the handler computes, so a handler need not report progress to stay alive; it must
    call ``progress`` now and then to learn that it was cancelled. What is written here, by either thread, is tried
    again while the database is away and the lease lasts.
    """

    def __init__(self, job: Job, kind: JobKind, worker: str) -> None:
        self.job = job
        self._kind = kind
        self._worker = worker
        self._lease_until = job.lease_until or now()
        self._is_given_up = False

    def renew(self) -> None:
        """Push the lease's end out.

        Raises:
            JobLostError: the job is no longer ours.
        """
        self._write(renews=True)

    def progress(self, ratio: float, text: str = "") -> None:
        """Say how far the work is; shown live.

        Args:
            ratio: 0 to 1.
            text: what is being done now, a few words.

        Raises:
            JobLostError: the job is no longer ours, or was cancelled.
        """
        ratio = min(max(ratio, 0.0), 1.0)
        self._write(renews=True, progress_ratio=ratio, progress_text=text[:200])
        _publish(self.job, state=JobState.RUNNING, ratio=ratio, text=text[:200])

    def give_up(self) -> None:
        """Nobody renews the lease any more: whatever is written from now on raises ``JobLostError``."""
        self._is_given_up = True

    def _finish(self, **values: Any) -> None:
        self._write(
            renews=False,
            lease_until=None,
            **({"finished_at": now()} if values["state"] != JobState.QUEUED else {}),
            **values,
        )
        _publish(
            self.job,
            state=values["state"],
            ratio=values.get("progress_ratio", self.job.progress_ratio),
            text="",
        )

    def _write(self, *, renews: bool, **values: Any) -> None:
        """Change the row if it is ours, in a database that may be restarting."""
        ours = Q(pk=self.job.pk, state=JobState.RUNNING, worker=self._worker, attempt=self.job.attempt)
        while not self._is_given_up:
            at = now()
            until = at + timedelta(seconds=self._kind.lease_s)
            lease = {"heartbeat_at": at, "lease_until": until} if renews else {}
            try:
                changed = Job.objects.filter(ours).update(**lease, **values)
            except (OperationalError, InterfaceError) as error:
                if connection.in_atomic_block:
                    raise  # the handler's own transaction; it went with its connection
                connection.close()
                if now() >= self._lease_until:
                    raise JobLostError(self.job.pk) from error
                time.sleep(_AWAY_PAUSE_S)
            else:
                if not changed:
                    break
                self._lease_until = until
                return
        raise JobLostError(self.job.pk)


def _publish(job: Job, *, state: str, ratio: float, text: str) -> None:
    publish(
        organization_id=job.organization_id,
        topic="jobs",
        kind="job.changed",
        id=str(job.public_id),
        data={"state": str(state), "progress_ratio": ratio, "progress_text": text, "kind": job.kind},
    )


def job_enqueue(
    *,
    organization_id: int,
    kind: str,
    subject_kind: str = "",
    subject_id: UUID | None = None,
    arguments: dict[str, Any] | None = None,
    max_attempts: int = 3,
    delay: timedelta = timedelta(0),
) -> Job:
    """Make a job in the caller's transaction and nudge a worker once that has committed.

    Args:
        organization_id: whose job; it shows in that organization's list.
        kind: a registered kind.
        subject_kind: what it works on, with ``subject_id``; the screen links there.
        subject_id: that thing's public id.
        arguments: JSON for the handler; ids, never objects.
        max_attempts: after so many failed tries the job is ``failed``.
        delay: earliest start from now.

    Raises:
        KeyError: no handler is registered for ``kind``.
    """
    registered = job_kind(kind)
    at = now()
    job = Job.objects.create(
        organization_id=organization_id,
        kind=kind,
        subject_kind=subject_kind,
        subject_id=subject_id,
        arguments=arguments or {},
        queue=registered.queue,
        max_attempts=max_attempts,
        run_after=at + delay,
        created_at=at,
    )
    _publish(job, state=JobState.QUEUED, ratio=0.0, text="")
    transaction.on_commit(lambda: nudge("common.run_jobs", queue=registered.queue, arguments=[registered.queue]))
    return job


# SKIP LOCKED lets several workers claim at once without waiting for each other. A running job whose lease has ended
# is claimable like a queued one: whoever held it is dead or has lost the right to write.
_CLAIM = """
UPDATE common_job SET state = 'running', attempt = attempt + 1, worker = %(worker)s, heartbeat_at = %(now)s,
       lease_until = %(now)s + make_interval(secs => coalesce((%(leases)s::jsonb ->> kind)::float8, 60)),
       started_at = coalesce(started_at, %(now)s), progress_text = ''
WHERE id = (SELECT id FROM common_job
            WHERE queue = %(queue)s AND run_after <= %(now)s
              AND (state = 'queued' OR (state = 'running' AND lease_until < %(now)s))
            ORDER BY run_after, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""


def _claim(queue: str, worker: str) -> Job | None:
    leases = json.dumps(job_leases())
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"worker": worker, "now": now(), "leases": leases, "queue": queue})
        row = cursor.fetchone()
    return Job.objects.get(pk=row[0]) if row else None


@contextmanager
def _heartbeat(context: JobContext, interval_s: float) -> Iterator[None]:
    """Renew the lease from a thread with a connection of its own until the block ends."""
    stopped = threading.Event()

    def beat() -> None:
        try:
            while not stopped.wait(interval_s):
                context.renew()
        except JobLostError as error:
            away = f" (the database was away: {error.__cause__})" if error.__cause__ else ""
            logger.warning("job %s lost its lease%s", context.job.public_id, away)
        except Exception:
            logger.exception("job %s: heartbeat stopped", context.job.public_id)
        finally:
            if not stopped.is_set():
                context.give_up()
            connections.close_all()

    thread = threading.Thread(target=beat, name="job-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _backoff(attempt: int) -> timedelta:
    """Exponential with full jitter, so that jobs that failed together do not return together."""
    ceiling = min(_BACKOFF_MAX_S, _BACKOFF_BASE_S * 2**attempt)
    return timedelta(seconds=ceiling * (0.5 + random.random() / 2))  # noqa: S311 - spreading load, not guarding a secret


def _run(context: JobContext) -> None:
    job = context.job
    if job.attempt > job.max_attempts:
        # Its worker died each time (killed, out of memory): an error nobody could write down.
        context._finish(  # noqa: SLF001 - one module
            state=JobState.FAILED,
            error_code="jobs.worker_died",
            error_text=f"The worker died {job.max_attempts} times while running this. Its log says more.",
        )
        return
    try:
        kind = job_kind(job.kind)
        with _heartbeat(context, kind.lease_s / 3):
            result = kind.handler(context)
    except JobLostError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a handler raises becomes the job's error; _describe logs it
        code, text, can_retry = _describe(error, job)
        if can_retry and job.attempt < job.max_attempts:
            context._finish(  # noqa: SLF001
                state=JobState.QUEUED,
                run_after=now() + _backoff(job.attempt),
                error_code=code,
                error_text=text,
            )
        else:
            context._finish(state=JobState.FAILED, error_code=code, error_text=text)  # noqa: SLF001
        return
    context._finish(  # noqa: SLF001
        state=JobState.DONE, result=result, progress_ratio=1.0, error_code="", error_text=""
    )


def _describe(error: Exception, job: Job) -> tuple[str, str, bool]:
    """An error as (code, text, worth another try). Unexpected ones are logged with their chain."""
    if isinstance(error, DomainError):
        logger.info("job %s (%s): %s %s", job.public_id, job.kind, error.error_code, error.context)
        return error.error_code, error.text, error.retryable
    if isinstance(error, OperationalError | InterfaceError):
        logger.warning("job %s (%s): the database failed", job.public_id, job.kind, exc_info=error)
        return UnavailableError.code, "The database did not answer.", True
    logger.error("job %s (%s) failed", job.public_id, job.kind, exc_info=error)
    return "jobs.unexpected", "An unexpected error; the worker's log has it under this job's id.", True


def jobs_run_due(queue: str, *, limit: int = 100) -> int:
    """Claim and run what is due on ``queue``, one after the other, in this process.

    Outside any transaction. Returns how many were run; at most ``limit``, so that a worker hears a shutdown.
    """
    worker = f"{socket.gethostname()}:{os.getpid()}:{uuid7().hex[-8:]}"
    for done in range(limit):
        job = _claim(queue, worker)
        if job is None:
            return done
        try:
            context = JobContext(job, job_kind(job.kind), worker)
            _run(context)
        except JobLostError:
            logger.warning("job %s: given up, it is no longer ours", job.public_id)
        except KeyError:
            logger.exception("job %s: no handler for kind %s", job.public_id, job.kind)
            Job.objects.filter(pk=job.pk, worker=worker).update(
                state=JobState.FAILED,
                finished_at=now(),
                error_code="jobs.unknown_kind",
                error_text=f"No part of this version knows jobs of kind {job.kind}.",
            )
    return limit


def job_cancel(*, job_id: int) -> None:
    """Cancel a job that has not ended; a running one stops at its next progress report.

    Raises:
        ConflictError: it has ended already.
    """
    changed = Job.objects.filter(pk=job_id, state__in=[JobState.QUEUED, JobState.RUNNING]).update(
        state=JobState.CANCELLED, finished_at=now(), lease_until=None
    )
    if not changed:
        raise ConflictError("The job has ended already.", code="jobs.ended")
    job = Job.objects.get(pk=job_id)
    _publish(job, state=job.state, ratio=job.progress_ratio, text="")


def job_retry(*, job_id: int) -> None:
    """Queue a failed or cancelled job again, with as many more attempts as it had at first.

    Raises:
        ConflictError: it is not failed or cancelled.
    """
    job = Job.objects.get(pk=job_id)
    with transaction.atomic():
        changed = Job.objects.filter(pk=job_id, state__in=[JobState.FAILED, JobState.CANCELLED]).update(
            state=JobState.QUEUED,
            run_after=now(),
            finished_at=None,
            max_attempts=F("attempt") + max(1, job.max_attempts - job.attempt, 3),
            error_code="",
            error_text="",
        )
        if not changed:
            raise ConflictError("Only a failed or cancelled job can be retried.", code="jobs.not_failed")
        _publish(job, state=JobState.QUEUED, ratio=0.0, text="")
        transaction.on_commit(lambda: nudge("common.run_jobs", queue=job.queue, arguments=[job.queue]))
