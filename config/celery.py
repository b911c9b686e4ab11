"""The Celery application: queues, the base task, the schedule.

Queues: ``rollouts`` and ``default`` are served by one worker, ``artifacts`` and ``telemetry`` by another, so that slow
artifact work never starves the reconciler.
"""

from __future__ import annotations

import logging
import os
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from celery import Celery, Task
from prometheus_client import Counter, Histogram

from common.ids import uuid7
from common.periodic import PeriodicTask
from common.request_id import request_id
from config import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

logger = logging.getLogger(__name__)

_APPS = ("common", "governance", "fleet", "models_registry", "telemetry", "rollouts", "insights")
_DURATION = Histogram("flotilla_task_duration_seconds", "Duration of Celery tasks", ["task"])
_OUTCOME = Counter("flotilla_task_total", "Celery tasks by outcome", ["task", "outcome"])


class FlotillaTask(Task):  # type: ignore[type-arg]
    """Times, counts and labels every task once for all."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the task with its id on every log line."""
        token = request_id.set(self.request.id or str(uuid7()))
        started = time.perf_counter()
        outcome = "error"
        try:
            result = super().__call__(*args, **kwargs)
            outcome = "ok"
            return result
        finally:
            _DURATION.labels(self.name).observe(time.perf_counter() - started)
            _OUTCOME.labels(self.name, outcome).inc()
            request_id.reset(token)


broker.register()
app = Celery("flotilla", task_cls=FlotillaTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.worker_pool = "config.pool_watch:TaskPool"  # what `--pool prefork`, the default, stands for
app.autodiscover_tasks(list(_APPS))


def periodic_tasks() -> dict[str, PeriodicTask]:
    """Every app's ``tasks.PERIODIC_TASKS``; their names must not clash."""
    entries: dict[str, PeriodicTask] = {}
    for name in _APPS:
        if find_spec(f"{name}.tasks") is None:
            continue
        declared: dict[str, PeriodicTask] = getattr(import_module(f"{name}.tasks"), "PERIODIC_TASKS", {})
        clash = entries.keys() & declared.keys()
        if clash:
            raise RuntimeError(f"periodic tasks declared twice: {sorted(clash)}")
        entries |= declared
    return entries


@app.on_after_finalize.connect
def schedule_periodic_tasks(sender: Celery, **_: Any) -> None:
    """Fill the beat schedule; django-celery-beat copies it into the database, where operators may change it.

    A message expires just before its successor is due: what was due while no worker ran is overtaken by the next tick.
    """
    sender.conf.beat_schedule = {
        name: {
            "task": entry.task,
            "schedule": entry.every_s,
            "args": entry.arguments,
            "options": {"queue": entry.queue, "expires": max(1.0, entry.every_s * 0.9)},
        }
        for name, entry in periodic_tasks().items()
    }
