"""Wake a worker sooner than its timer would. A nudge may be lost; nothing depends on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

_EXPIRES_S = 60  # a nudge older than that has been overtaken by the timer


def nudge(task: str, *, queue: str, arguments: Sequence[Any] = ()) -> None:
    """Send a Celery message; call it after the commit of what it is about. Never raises for a broker that is down."""
    try:
        current_app.send_task(task, args=list(arguments), queue=queue, expires=_EXPIRES_S, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("could not nudge %s on %s: %s; the timer will find the work", task, queue, error)
