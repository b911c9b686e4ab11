"""A worker whose pool loses a process to a signal ends, and whoever started it starts it again.

On a broker without an event loop, such as the embedded installation's, the processes of Celery's prefork pool share
two pipes, for tasks and for results, and a lock for each in shared memory. One that waits for a task holds the first
lock. Killed there (``kill -9``, out of memory, a crash in native code) it keeps it for ever: its successor waits, and
the worker fetches messages and does nothing. SIGTERM, also that of a hard time limit, is no better: the pool sends it
again while the process reports its end, and a thread of the database pool takes it while the main thread holds the
second lock. Nobody can tell which lock a dead process held, and a pool that has lost one cannot be shut down in good
order. So the worker ends at once; what its other processes were doing is taken over like the work of any dead worker.

Processes that leave by themselves (``max_tasks_per_child``, ``max_memory_per_child``, a warm shutdown) have let go of
their locks, and the pool replaces them. On brokers with an event loop (RabbitMQ) each process has pipes of its own, and
the pool replaces killed ones too.
"""

from __future__ import annotations

import logging
import os

from billiard.process import BaseProcess
from celery.concurrency import prefork

logger = logging.getLogger(__name__)

EXIT_STATUS = os.EX_SOFTWARE


class TaskPool(prefork.TaskPool):
    """Celery's prefork pool, watched where its processes share a pipe."""

    def on_start(self) -> None:
        """Start the processes."""
        if self.options.get("threads", True):  # Celery's word for a pool without an event loop
            self.options["on_process_down"] = end_if_killed
        super().on_start()


def end_if_killed(process: BaseProcess) -> None:
    """End this worker when a process of its pool was ended by a signal.

    Args:
        process: has ended; a negative exit code is a signal's number.
    """
    if process.exitcode is not None and process.exitcode < 0:
        logger.critical(
            "a process of the pool (%s) was killed by signal %s; the pool's locks may be lost, so this worker ends",
            process.pid,
            -process.exitcode,
        )
        # An orderly shutdown would wait for the lost lock.
        os._exit(EXIT_STATUS)
