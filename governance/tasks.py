"""Periodic work of governance."""

from __future__ import annotations

from celery import shared_task

from common.periodic import PeriodicTask
from governance.services.sign_in import sessions_purge


@shared_task(name="governance.sessions_purge")
def sessions_purge_task() -> int:
    """Remove sessions and sign-in budgets whose time is over."""
    return sessions_purge()


PERIODIC_TASKS = {
    "governance.sessions_purge": PeriodicTask(task="governance.sessions_purge", every_s=600, queue="default"),
}
