"""Celery tasks of rollouts."""

from __future__ import annotations

from celery import shared_task

from common.periodic import PeriodicTask
from rollouts.services.reconcile import rollouts_reconcile
from rollouts.services.rollouts import QUEUE, RECONCILE_TASK

_EVERY_S = 2.0


@shared_task(name=RECONCILE_TASK, soft_time_limit=300, time_limit=330)
def reconcile() -> int:
    """One pass of the reconciler."""
    return rollouts_reconcile()


PERIODIC_TASKS = {RECONCILE_TASK: PeriodicTask(task=RECONCILE_TASK, every_s=_EVERY_S, queue=QUEUE)}
