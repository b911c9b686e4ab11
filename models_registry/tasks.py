"""Celery tasks of the registry: thin, each calls one service."""

from __future__ import annotations

from celery import shared_task

from common.periodic import PeriodicTask
from models_registry.services.catalogue import VALIDATE_JOB
from models_registry.services.trust import trust_refresh_all
from models_registry.services.uploads import uploads_expire
from models_registry.services.validation import versions_settle


@shared_task(name="models_registry.uploads_expire")
def uploads_expire_task() -> int:
    """See ``uploads_expire``."""
    return uploads_expire()


@shared_task(name="models_registry.trust_refresh")
def trust_refresh_task() -> int:
    """See ``trust_refresh_all``."""
    return trust_refresh_all()


@shared_task(name="models_registry.versions_settle")
def versions_settle_task() -> int:
    """See ``versions_settle``."""
    return versions_settle(kind=VALIDATE_JOB)


PERIODIC_TASKS = {
    "models_registry.uploads_expire": PeriodicTask(
        task="models_registry.uploads_expire", every_s=600, queue="artifacts"
    ),
    # On the quick queue: metadata that expires stops every update, and must not wait behind a validation.
    "models_registry.trust_refresh": PeriodicTask(task="models_registry.trust_refresh", every_s=300, queue="default"),
    "models_registry.versions_settle": PeriodicTask(
        task="models_registry.versions_settle", every_s=30, queue="default"
    ),
}
