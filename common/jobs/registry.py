"""Which function does which kind of job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.jobs.service import JobContext

Handler = Callable[["JobContext"], dict[str, Any] | None]


@dataclass(frozen=True)
class JobKind:
    """How one kind of job runs.

    Args:
        name: ``<app>.<verb>``.
        handler: does the work; must be safe to run again after dying at any line.
        queue: the Celery queue whose workers run it.
        lease_s: seconds without a heartbeat after which another worker may take over.
    """

    name: str
    handler: Handler
    queue: str
    lease_s: float


_kinds: dict[str, JobKind] = {}


def job_handler(name: str, *, queue: str, lease_s: float = 60.0) -> Callable[[Handler], Handler]:
    """Register the decorated function for jobs of kind ``name``; import the module in ``AppConfig.ready``."""

    def register(handler: Handler) -> Handler:
        if name in _kinds and _kinds[name].handler is not handler:
            raise RuntimeError(f"two handlers for jobs of kind {name}")
        _kinds[name] = JobKind(name=name, handler=handler, queue=queue, lease_s=lease_s)
        return handler

    return register


def job_kind(name: str) -> JobKind:
    """The registered kind.

    Raises:
        KeyError: nobody registered it.
    """
    return _kinds[name]


def job_leases() -> dict[str, float]:
    """The lease of every registered kind, in seconds."""
    return {name: kind.lease_s for name, kind in _kinds.items()}
