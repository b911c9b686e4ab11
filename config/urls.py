"""Addresses of Django's part; device doors, uploads, sockets and files are routed in ``config/asgi.py``."""

from __future__ import annotations

from importlib.util import find_spec

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView

from config.dashboard import dashboard
from config.exception_handler import error_body
from config.health import metrics, readyz


def no_such_api(_request: HttpRequest) -> HttpResponse:
    """An unknown path under ``/api/`` answers JSON, not the dashboard's page."""
    return JsonResponse(error_body("not_found", "There is no such address in this API; see /api/schema/."), status=404)


def server_error(_request: HttpRequest) -> HttpResponse:
    """The 500 of last resort, in the API's shape."""
    return JsonResponse(
        error_body("internal", "An unexpected error. Report it with the request_id; the server's log has the rest."),
        status=500,
    )


handler500 = server_error

_APIS = ["governance", "fleet", "models_registry", "telemetry", "rollouts", "insights"]

urlpatterns = [
    path("readyz", readyz),
    path("metrics", metrics),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    *[path("api/v1/", include(f"{name}.api.urls")) for name in _APIS if find_spec(f"{name}.api.urls")],
    re_path(r"^api/.*$", no_such_api),
    re_path(r"^(?P<path>.*)$", dashboard),
]
