"""The usual way to answer a poll: a Django view and the ORM.

Configured well: no middleware, persistent connections, the same signed token, two queries that read only what the
answer needs, the same ``ETag`` rule and the same 304.
``gunicorn benchmarks.comparators.orm_poll:application`` serves it.
"""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()
settings.MIDDLEWARE = []
settings.ROOT_URLCONF = __name__
settings.DATABASES["default"]["CONN_MAX_AGE"] = None
settings.DATABASES["default"]["OPTIONS"].pop("pool", None)

from django.db.models import F, Q  # noqa: E402 - Django must be configured first
from django.urls import path  # noqa: E402

from fleet.models import Device  # noqa: E402
from fleet.services.access import access_token_decode  # noqa: E402
from rollouts.models import Deployment  # noqa: E402


def poll(request: HttpRequest, tenant: str, cid: str) -> HttpResponse:
    """Check the token, read the device and what is due for it, answer."""
    caller = access_token_decode(request.headers["Authorization"].removeprefix("Bearer ")).caller
    device: dict[str, Any] = Device.objects.values("revision", "attributes_wanted").get(
        pk=caller.device_id, organization_id=caller.organization_id
    )
    due = (
        Deployment.objects.filter(Q(state="planned") | Q(state="offered"), device_id=caller.device_id)
        .filter(wave__lte=F("rollout__released_wave"), rollout__state="running")
        .exists()
    )
    etag = f'"{device["revision"]}.{due:d}"'
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    base = f"{settings.DEVICE_URL}/{tenant}/controller/v1/{cid}"
    links = {"configData": {"href": f"{base}/configData"}} if device["attributes_wanted"] else {}
    body = {"config": {"polling": {"sleep": "00:00:30"}}, "_links": links}
    return JsonResponse(body, headers={"ETag": etag})


urlpatterns = [path("<tenant>/controller/v1/<cid>", poll)]
application = get_wsgi_application()
