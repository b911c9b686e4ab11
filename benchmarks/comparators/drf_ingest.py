"""The usual way to take telemetry: Django REST framework, a serializer, ``bulk_create``, one commit per request.

Configured well: no middleware, persistent connections, the same signed token and the same table as the product, one
bulk insert per request. It does less than the product: no exactly-once, no newest values, no partitions made on demand.
``gunicorn benchmarks.comparators.drf_ingest:application`` serves it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()
settings.MIDDLEWARE = []
settings.ROOT_URLCONF = __name__
settings.DATABASES["default"]["CONN_MAX_AGE"] = None
settings.DATABASES["default"]["OPTIONS"].pop("pool", None)

from django.urls import path  # noqa: E402 - Django must be configured first
from rest_framework import serializers  # noqa: E402
from rest_framework.parsers import JSONParser  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from fleet.services.access import access_token_decode  # noqa: E402
from flotilla_protocol.messages import HEALTH_COLUMNS  # noqa: E402
from telemetry.models import HealthSample  # noqa: E402


class HealthSerializer(serializers.Serializer[Any]):
    """The product's columnar body."""

    ts_ms = serializers.ListField(child=serializers.IntegerField(min_value=0))

    def get_fields(self) -> dict[str, Any]:
        """Adds the value columns."""
        columns = {
            name: serializers.ListField(child=serializers.FloatField(allow_null=True), required=False)
            for name in HEALTH_COLUMNS
        }
        return super().get_fields() | columns


class BatchSerializer(serializers.Serializer[Any]):
    """The product's batch."""

    stream = serializers.IntegerField(min_value=0, max_value=3)
    sequence = serializers.IntegerField(min_value=1)
    health = HealthSerializer()


class IngestView(APIView):
    """Takes a batch."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    parser_classes = [JSONParser]

    def post(self, request: Request, tenant: str, cid: str) -> Response:
        """Check the token, validate, insert, commit, answer."""
        caller = access_token_decode(request.headers["Authorization"].removeprefix("Bearer ")).caller
        serializer = BatchSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        batch = serializer.validated_data
        health = batch["health"]
        columns = {name: health[name] for name in HEALTH_COLUMNS if name in health}
        HealthSample.objects.bulk_create(
            [
                HealthSample(
                    device_id=caller.device_id,
                    ts=datetime.fromtimestamp(ts_ms / 1000, tz=UTC),
                    **{name: values[row] for name, values in columns.items()},
                )
                for row, ts_ms in enumerate(health["ts_ms"])
            ]
        )
        return Response({"stream": batch["stream"], "sequence": batch["sequence"]})


urlpatterns = [path("<tenant>/agent/v1/<cid>/telemetry", IngestView.as_view())]
application = get_wsgi_application()
