"""Series, drift, alerts and alert rules."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.api.serializers import ReasonSerializer
from governance.api.viewsets import OrganizationViewSet
from governance.types import Caller
from telemetry import selectors
from telemetry.api import serializers
from telemetry.models import Alert, AlertRule
from telemetry.services.alert_rules import alert_rule_update
from telemetry.services.alerts import alert_acknowledge, alert_resolve, alert_silence

_EMPTY_MATRIX: dict[str, Any] = {
    **dict.fromkeys(("model", "version", "version_id", "window", "false_discovery_ratio")),
    **{name: [] for name in ("versions", "features", "segments", "cells")},
}


def _checked(kind: type[Any], data: Any) -> dict[str, Any]:
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, Any]", serializer.validated_data)


def _span(request: Request) -> dict[str, Any]:
    checked = _checked(serializers.SpanSerializer, request.query_params)
    return {name: checked.get(name) for name in ("since", "until", "points")}


class DeviceHealthView(APIView):
    """A device's health by column."""

    @extend_schema(
        operation_id="devices_health",
        parameters=[serializers.SpanSerializer],
        responses=serializers.HealthSeriesSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's own word
        """Means over steps of the span; gaps stay gaps."""
        caller = cast("Caller", request.auth)
        return Response(selectors.health_series(caller=caller, device_id=id, **_span(request)))


class DeviceWindowsView(APIView):
    """A device's inference windows by column."""

    @extend_schema(
        operation_id="devices_windows",
        parameters=[serializers.SpanSerializer],
        responses=serializers.WindowSeriesSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's own word
        """Merged over steps of the span; gaps stay gaps."""
        caller = cast("Caller", request.auth)
        return Response(selectors.window_series(caller=caller, device_id=id, **_span(request)))


class DriftView(APIView):
    """The matrix of segments and features."""

    @extend_schema(
        operation_id="drift_matrix",
        parameters=[serializers.DriftQuerySerializer],
        responses=serializers.DriftMatrixSerializer,
    )
    def get(self, request: Request) -> Response:
        """The newest evaluation of a version; without one named, of that with the worst cell."""
        query = _checked(serializers.DriftQuerySerializer, request.query_params)
        matrix = selectors.drift_matrix(
            caller=cast("Caller", request.auth), model=query.get("model"), version=query.get("version")
        )
        return Response(serializers.DriftMatrixSerializer(matrix or _EMPTY_MATRIX).data)


class DriftCellView(APIView):
    """One cell of the matrix."""

    @extend_schema(
        operation_id="drift_cell",
        parameters=[serializers.DriftCellQuerySerializer],
        responses=serializers.DriftCellDetailSerializer,
    )
    def get(self, request: Request) -> Response:
        """Its history, distribution, devices, and what happened around it."""
        query = _checked(serializers.DriftCellQuerySerializer, request.query_params)
        cell = selectors.drift_cell(
            caller=cast("Caller", request.auth),
            version_id=query["version_id"],
            feature=query["feature"],
            region=query.get("region"),
            hardware_profile=query.get("hardware_profile"),
        )
        return Response(serializers.DriftCellDetailSerializer(cell).data)


@extend_schema_view(
    list=extend_schema(operation_id="alerts_list", parameters=[serializers.AlertQuerySerializer]),
    retrieve=extend_schema(operation_id="alerts_get"),
)
class AlertViewSet(ListModelMixin, RetrieveModelMixin, OrganizationViewSet[Alert]):
    """Alerts, newest first."""

    serializer_class = serializers.AlertSerializer
    queryset = Alert.objects.none()

    def get_queryset(self) -> QuerySet[Alert]:
        """See ``selectors.alerts``."""
        if self.is_schema_generation:
            return self.queryset
        query = _checked(serializers.AlertQuerySerializer, self.request.query_params)
        return selectors.alerts(caller=self.caller, state=query.get("state"), severity=query.get("severity"))

    @extend_schema(operation_id="alerts_acknowledge", request=None, responses=serializers.AlertSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, _request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's own word
        """Say that somebody looks after it."""
        return self._answer(alert_acknowledge(caller=self.caller, alert_id=id))

    @extend_schema(
        operation_id="alerts_silence", request=serializers.SilenceSerializer, responses=serializers.AlertSerializer
    )
    @action(detail=True, methods=["post"])
    def silence(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's own word
        """Keep it out of the way until then."""
        until = _checked(serializers.SilenceSerializer, request.data)["until"]
        return self._answer(alert_silence(caller=self.caller, alert_id=id, until=until))

    @extend_schema(operation_id="alerts_resolve", request=ReasonSerializer, responses=serializers.AlertSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's own word
        """Close it; it opens again only after its cause has been away once."""
        reason = _checked(ReasonSerializer, request.data)["reason"]
        return self._answer(alert_resolve(caller=self.caller, alert_id=id, reason=reason))

    def _answer(self, alert: Alert) -> Response:
        fresh = selectors.alert_for(caller=self.caller, alert_id=alert.public_id)
        return Response(self.get_serializer(fresh).data)


@extend_schema_view(list=extend_schema(operation_id="alert_rules_list"))
class AlertRuleViewSet(ListModelMixin, OrganizationViewSet[AlertRule]):
    """Alert rules."""

    serializer_class = serializers.AlertRuleSerializer
    queryset = AlertRule.objects.none()

    def get_queryset(self) -> QuerySet[AlertRule]:
        """See ``selectors.alert_rules``."""
        return self.queryset if self.is_schema_generation else selectors.alert_rules(caller=self.caller)

    @extend_schema(
        operation_id="alert_rules_change",
        request=serializers.AlertRuleChangeSerializer,
        responses=serializers.AlertRuleSerializer,
    )
    def partial_update(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's own word
        """Change threshold, severity, or whether it is in force."""
        changes = _checked(serializers.AlertRuleChangeSerializer, request.data)
        return Response(self.get_serializer(alert_rule_update(caller=self.caller, rule_id=id, **changes)).data)
