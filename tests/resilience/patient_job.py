"""A worker's process with one kind of job, which does as the lines of a file say: ``progress`` or ``return``.

``python -m tests.resilience.patient_job <lines> <lease in seconds>`` makes the table of jobs in the empty database of
``DATABASE_URL``, enqueues one and runs what is due until it has ended. What happens is said in lines on the output.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import django

django.setup()

from django.db import Error, connection  # noqa: E402 - Django must be ready

from common.jobs.registry import job_handler  # noqa: E402
from common.jobs.service import JobContext, JobLostError, job_enqueue, jobs_run_due  # noqa: E402
from common.models import Job, JobState  # noqa: E402


def main(lines: Path, lease_s: float) -> None:
    """Run until the job has ended."""
    with connection.schema_editor() as editor:
        editor.create_model(Job)
    read = 0

    @job_handler("test.patient", queue="default", lease_s=lease_s)
    def work(context: JobContext) -> dict[str, Any]:
        nonlocal read
        print(f"attempt {context.job.attempt}", flush=True)
        while True:
            told = lines.read_text().splitlines()[read:]
            read += len(told)
            for line in told:
                if line == "return":
                    return {}
                try:
                    context.progress(0.5)
                except JobLostError:
                    print("lost", flush=True)
                    raise
                print("progressed", flush=True)
            time.sleep(0.02)

    job = job_enqueue(organization_id=1, kind="test.patient")
    while job.state in {JobState.QUEUED, JobState.RUNNING}:
        try:
            jobs_run_due("default")
            job.refresh_from_db()
        except Error:  # as a task that fails; the next sweep begins with a connection of its own
            connection.close()
        time.sleep(0.1)
    print(f"{job.state} after {job.attempt}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
