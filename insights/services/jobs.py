"""Jobs as people see them: the kernel keeps them and knows no organization's people."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from common.jobs import service
from common.models import Job
from governance.models import Role
from governance.services.audit import audit_write
from governance.types import Caller
from insights.selectors.jobs import job_for


def job_cancel(*, caller: Caller, job_id: UUID) -> Job:
    """Cancel a job that has not ended; a running one stops at its next progress report.

    Raises:
        NotPermittedError: the caller is no operator.
        JobNotFoundError: the organization has no such job.
        ConflictError: it has ended already.
    """
    caller.require(Role.OPERATOR)
    job = job_for(caller=caller, job_id=job_id)
    with transaction.atomic():
        service.job_cancel(job_id=job.pk)
        _record(caller, job, "job.cancel")
    return job_for(caller=caller, job_id=job_id)


def job_retry(*, caller: Caller, job_id: UUID) -> Job:
    """Queue a failed or cancelled job again.

    Raises:
        NotPermittedError: the caller is no operator.
        JobNotFoundError: the organization has no such job.
        ConflictError: it is neither failed nor cancelled.
    """
    caller.require(Role.OPERATOR)
    job = job_for(caller=caller, job_id=job_id)
    with transaction.atomic():
        service.job_retry(job_id=job.pk)
        _record(caller, job, "job.retry")
    return job_for(caller=caller, job_id=job_id)


def _record(caller: Caller, job: Job, action: str) -> None:
    audit_write(
        organization_id=caller.organization_id,
        actor=caller.actor,
        action=action,
        object_kind="job",
        object_id=str(job.public_id),
        data={"kind": job.kind},
    )
