"""Jobs of an organization."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db.models import QuerySet

from common.models import Job, JobState
from governance.names import names_for
from governance.types import Caller
from insights.errors import JobNotFoundError


def jobs(*, caller: Caller) -> QuerySet[Job]:
    """The organization's jobs."""
    return Job.objects.filter(organization_id=caller.organization_id)


def job_for(*, caller: Caller, job_id: UUID) -> Job:
    """One job.

    Raises:
        JobNotFoundError: there is none of that id, or it is another organization's.
    """
    job = jobs(caller=caller).filter(public_id=job_id).first()
    if job is None:
        raise JobNotFoundError("There is no such job.")
    return job


def job_subject_names(*, caller: Caller, shown: Iterable[Job]) -> dict[tuple[str, str], str]:
    """Names of what jobs work on, by ``(kind, id)``; one query per kind."""
    return names_for(caller.organization_id, {(job.subject_kind, str(job.subject_id)) for job in shown})


def jobs_active_count(*, caller: Caller) -> int:
    """Jobs that wait or run."""
    return jobs(caller=caller).filter(state__in=[JobState.QUEUED, JobState.RUNNING]).count()


def job_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Jobs are called by their kind."""
    rows = Job.objects.filter(organization_id=organization_id, public_id__in=ids)
    return dict(rows.values_list("public_id", "kind"))
