"""Work that repeats: each app's ``tasks.py`` declares it, ``config/celery.py`` schedules it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PeriodicTask:
    """One entry of the beat schedule.

    Args:
        task: the Celery task's name.
        every_s: period in seconds. A message expires before the next is due, so that a worker that was away does not
            find a queue full of yesterday's ticks.
        queue: the Celery queue it runs on.
        arguments: positional arguments of the task.
    """

    task: str
    every_s: float
    queue: str
    arguments: tuple[str, ...] = ()
