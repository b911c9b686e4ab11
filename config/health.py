"""Readiness and metrics, outside the versioned API. Liveness is the gateway's, beside all of Django."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from common.errors import DomainError
from config.metrics import FleetCollector
from models_registry.storage.registry import stores_check

logger = logging.getLogger(__name__)

_FLEET = CollectorRegistry()
_FLEET.register(FleetCollector())


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _migrations() -> None:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        raise RuntimeError(f"{len(missing)} migrations are not applied; run manage.py migrate")


def _keys() -> None:
    if settings.KEYS_DIR.stat().st_mode & 0o077:
        raise RuntimeError("FLOTILLA_KEYS_DIR can be read by others; set its mode to 0700")


_CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "migrations": _migrations,
    "stores": stores_check,
    "keys": _keys,
}


@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Whether requests can be served: each dependency by name, 503 when one is missing."""
    results: dict[str, str] = {}
    for name, check in _CHECKS.items():
        try:
            check()
        except DomainError as error:
            results[name] = error.text
        except (DatabaseError, RuntimeError, OSError) as error:
            results[name] = str(error) if isinstance(error, RuntimeError) else type(error).__name__
        else:
            results[name] = "ok"
    is_ready = all(value == "ok" for value in results.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "checks": results}, status=200 if is_ready else 503
    )


@require_safe
def metrics(_request: HttpRequest) -> HttpResponse:
    """The fleet's and this process's metrics in Prometheus' text format; without a database only the process's."""
    try:
        fleet = generate_latest(_FLEET)
    except DatabaseError:
        logger.exception("the fleet's metrics cannot be read")
        fleet = b""
    return HttpResponse(fleet + generate_latest(), content_type=CONTENT_TYPE_LATEST)
