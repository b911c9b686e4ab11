"""The registry's jobs."""

from __future__ import annotations

from typing import Any

from common.jobs.registry import job_handler
from common.jobs.service import JobContext
from governance.types import Actor
from models_registry.services.catalogue import VALIDATE_JOB
from models_registry.services.validation import version_validate


@job_handler(VALIDATE_JOB, queue="artifacts", lease_s=30)
def validate(context: JobContext) -> dict[str, Any]:
    """Validate the version that is the job's subject."""
    job = context.job
    if job.subject_id is None:
        raise ValueError(f"job {job.public_id} names no version")

    def progress(ratio: float, text: str) -> None:
        if ratio < 0:
            context.renew()  # nothing new to show; only to learn whether the job is still ours
        else:
            context.progress(ratio, text)

    state = version_validate(
        organization_id=job.organization_id,
        version_id=job.subject_id,
        actor=Actor(kind="job", id=str(job.public_id)),
        progress=progress,
    )
    return {"state": state}
