"""Celery tasks of the kernel."""

from __future__ import annotations

from celery import shared_task

from common.jobs.service import jobs_run_due
from common.periodic import PeriodicTask

JOB_QUEUES = ("default", "rollouts", "artifacts", "telemetry")


@shared_task(name="common.run_jobs")
def run_jobs(queue: str) -> int:
    """Run what is due on ``queue``."""
    return jobs_run_due(queue)


# The sweep behind the nudges: finds jobs whose message was lost, whose lease ended, or whose time has come.
PERIODIC_TASKS = {
    f"common.run_jobs.{queue}": PeriodicTask(task="common.run_jobs", every_s=5, queue=queue, arguments=(queue,))
    for queue in JOB_QUEUES
}
