"""The device doors of all apps as one ASGI application; served on its own port, or inside ``config.asgi``.

``uvicorn config.gateway:application`` starts it alone.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: E402
from starlette.applications import Starlette  # noqa: E402 - apps must be loaded before doors are imported
from starlette.exceptions import HTTPException  # noqa: E402
from starlette.middleware.errors import ServerErrorMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse, Response  # noqa: E402
from starlette.routing import Route  # noqa: E402

from common.errors import DomainError, TooManyRequestsError, UnavailableError  # noqa: E402
from config.exception_handler import error_body  # noqa: E402
from config.host import HostGuard, Receive, Scope, Send  # noqa: E402
from config.lifespan import serving  # noqa: E402
from fleet.device_api.routes import device_routes as fleet_routes  # noqa: E402
from models_registry.device_api.routes import device_routes as registry_routes  # noqa: E402
from rollouts.device_api.routes import device_routes as rollout_routes  # noqa: E402
from telemetry.device_api.routes import device_routes as telemetry_routes  # noqa: E402
from telemetry.device_api.routes import telemetry_door  # noqa: E402

logger = logging.getLogger(__name__)

GATEWAY_PATH = re.compile(r"^/(?:healthz$|[^/]+/(?:agent|controller)/v1/)")
_DDI_PATH = re.compile(r"^/[^/]+/controller/v1/")
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_EMPTY_ON = 401  # hawkBit answers 401 with an empty body


def error_response(request: Request, status: int, code: str, text: str, **extra: Any) -> Response:
    """An error in the shape the path's clients know: hawkBit's on DDI paths, ours elsewhere."""
    headers: dict[str, str] = extra.get("headers") or {}
    if _DDI_PATH.match(request.url.path):
        if status == _EMPTY_ON:
            return Response(status_code=status, headers=headers)
        return JSONResponse(
            {"exceptionClass": "flotilla." + code, "errorCode": "flotilla." + code, "message": text},
            status_code=status,
            headers=headers,
        )
    return JSONResponse(error_body(code, text, extra.get("fields")), status_code=status, headers=headers)


async def domain_error(request: Request, error: Exception) -> Response:
    """An expected error, as its class says."""
    assert isinstance(error, DomainError)
    if error.context:
        logger.info("%s: %s %s", error.error_code, error.text, error.context)
    headers = (
        {"Retry-After": str(error.retry_after_s)} if isinstance(error, UnavailableError | TooManyRequestsError) else {}
    )
    return error_response(request, error.status, error.error_code, error.text, fields=error.fields, headers=headers)


async def http_error(request: Request, error: Exception) -> Response:
    """Routing errors: no such path, wrong method."""
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, "invalid_input")
    return error_response(request, error.status_code, code, error.detail, headers=dict(error.headers or {}))


async def unexpected_error(request: Request, error: Exception) -> Response:
    """Anything else is a fault of ours."""
    # Starlette re-raises after answering, so uvicorn logs the chain once.
    return error_response(
        request, 500, "internal", "An unexpected error. Nothing more is known here; see the server's log."
    )


async def _healthz(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


async def _metrics(_request: Request) -> Response:
    """This process's metrics; the fleet's are the web process's to tell."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


_DOORS = [*telemetry_routes, *rollout_routes, *fleet_routes, *registry_routes]


class DeviceDoors(Starlette):
    """The device doors: telemetry goes straight to its own, all else through routing.

    Args:
        more: routes beside the devices'.
    """

    def __init__(self, *more: Route) -> None:
        super().__init__(
            routes=[Route("/healthz", _healthz), *_DOORS, *more],
            exception_handlers={DomainError: domain_error, HTTPException: http_error, Exception: unexpected_error},
            lifespan=serving,
        )
        self._telemetry = ServerErrorMiddleware(self._take_telemetry, handler=unexpected_error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] == "http" and telemetry_door.takes(scope):
            await self._telemetry(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    @staticmethod
    async def _take_telemetry(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await telemetry_door(scope, receive, send)
        except DomainError as error:
            response = await domain_error(Request(scope), error)
            await response(scope, receive, send)


doors = DeviceDoors()
application = HostGuard(DeviceDoors(Route("/metrics", _metrics)))
