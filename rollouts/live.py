"""Counts for browsers, at most once a second per rollout and process, however many devices report.

A changed deployment marks its rollout; a thread counts and publishes what is marked. A count is one query whose cost
grows with the rollout, so it must not hang on every device's feedback.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Final
from uuid import UUID

from django.db import close_old_connections, transaction

from rollouts import events
from rollouts.models import Rollout
from rollouts.selectors_counts import rollout_counts

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0


class CountsPublisher:
    """Collects marked rollouts and publishes their counts from one thread, which ends when nothing is marked."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._marked: dict[int, tuple[int, UUID]] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def mark(self, rollout_id: int, organization_id: int, public_id: UUID) -> None:
        """Publish this rollout's counts soon."""
        with self._lock:
            self._marked[rollout_id] = (organization_id, public_id)
            if self._thread is None:
                self._stopping.clear()
                self._thread = threading.Thread(target=self._run, name="rollout-counts", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread; what is marked is dropped. It restarts on use. For tests."""
        with self._lock:
            self._marked.clear()
            thread = self._thread
        self._stopping.set()
        if thread is not None:
            thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            self._stopping.wait(self._interval_s)
            with self._lock:
                marked, self._marked = self._marked, {}
                if not marked:
                    self._thread = None
                    return
            close_old_connections()
            try:
                for rollout_id, (organization_id, public_id) in marked.items():
                    counts = rollout_counts([rollout_id])[rollout_id]
                    events.publish_counts(organization_id=organization_id, rollout_id=public_id, data=counts.as_json())
            except Exception:  # the thread must live: the next change tries again
                logger.warning("counts of rollouts could not be published", exc_info=True)
            finally:
                close_old_connections()


publisher = CountsPublisher()


def counts_changed(rollout: Rollout) -> None:
    """Say that deployments of this rollout changed; browsers hear of it once the transaction has committed."""
    rollout_id, organization_id, public_id = rollout.pk, rollout.organization_id, rollout.public_id
    transaction.on_commit(lambda: publisher.mark(rollout_id, organization_id, public_id))


def _renew_after_fork() -> None:
    global publisher  # noqa: PLW0603 - process wide by purpose
    publisher = CountsPublisher()


os.register_at_fork(after_in_child=_renew_after_fork)
