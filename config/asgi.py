"""One process for everything: Django, the device doors, the raw doors, the live socket, the dashboard's files."""

from __future__ import annotations

import os
from typing import Any, cast

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from channels.routing import URLRouter  # noqa: E402 - apps must be loaded before doors are imported
from django.conf import settings  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.gzip import GZipMiddleware  # noqa: E402
from starlette.routing import Mount  # noqa: E402
from starlette.staticfiles import StaticFiles  # noqa: E402

from common.errors import DomainError  # noqa: E402
from config import gateway  # noqa: E402
from config.host import Application, HostGuard, Receive, Scope, Send  # noqa: E402
from config.limit import ConcurrencyLimit  # noqa: E402
from models_registry.api.raw import raw_routes  # noqa: E402
from telemetry.consumers import LiveConsumer  # noqa: E402

_DATABASE_CONNECTIONS: int = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]


class DashboardFiles(StaticFiles):
    """The built dashboard's files; the build puts a hash into every name under ``assets/``, so those never change."""

    def file_response(self, *args: Any, **kwargs: Any) -> Any:
        """Adds the cache headers."""
        response = super().file_response(*args, **kwargs)
        is_hashed = "/assets/" in f"/{args[0]}"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_hashed else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


raw_doors = Starlette(
    routes=raw_routes,
    exception_handlers={
        DomainError: gateway.domain_error,
        HTTPException: gateway.http_error,
        Exception: gateway.unexpected_error,
    },
)
files = Starlette(
    routes=[Mount("/static", DashboardFiles(directory=settings.FRONTEND_DIST, check_dir=False))],
    middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
)
django_application = ConcurrencyLimit(
    cast("Application", get_asgi_application()), running=_DATABASE_CONNECTIONS, waiting=512, patience_s=10.0
)
sockets = URLRouter([path("ws/live/", LiveConsumer.as_asgi())])


async def _route(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await gateway.doors(scope, receive, send)
    elif scope["type"] == "websocket":
        if scope["path"] == "/ws/live/":
            await sockets(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 4404})
    elif gateway.GATEWAY_PATH.match(scope["path"]):
        await gateway.doors(scope, receive, send)
    elif scope["path"].startswith("/api/v1/uploads"):
        await raw_doors(scope, receive, send)
    elif scope["path"].startswith("/static/"):
        await files(scope, receive, send)
    else:
        await django_application(scope, receive, send)


application = HostGuard(_route)
