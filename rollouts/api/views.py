"""The rollouts' REST resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from governance.api.serializers import ReasonSerializer
from governance.api.viewsets import OrganizationViewSet
from governance.models import Role
from rollouts import selectors
from rollouts.api import serializers
from rollouts.models import Deployment, Rollout
from rollouts.policy.metrics import METRICS
from rollouts.policy.types import to_json
from rollouts.services import rollouts as services


def _read(kind: type[Any], data: Any) -> dict[str, Any]:
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    given: dict[str, Any] = serializer.validated_data
    return given


class RolloutViewSet(OrganizationViewSet[Rollout]):
    """Rollouts."""

    serializer_class = serializers.RolloutSerializer
    queryset = Rollout.objects.none()
    action_roles = {"preview": Role.VIEWER}

    def get_queryset(self) -> QuerySet[Rollout]:
        """The organization's."""
        if self.is_schema_generation:
            return Rollout.objects.none()
        return selectors.rollouts(caller=self.caller)

    def _answer(self, rollout_id: UUID, code: int = status.HTTP_200_OK) -> Response:
        rollout = selectors.rollout_for(caller=self.caller, rollout_id=rollout_id)
        context = {"views": selectors.rollout_views([rollout])}
        return Response(serializers.RolloutSerializer(rollout, context=context).data, status=code)

    @extend_schema(parameters=[serializers.RolloutFilterSerializer])
    def list(self, request: Request) -> Response:
        """Rollouts that match the filters, newest first."""
        filters = _read(serializers.RolloutFilterSerializer, request.query_params)
        page = self.page_of(selectors.rollouts(caller=self.caller, **filters))
        context = {"views": selectors.rollout_views(page)}
        return self.get_paginated_response(serializers.RolloutSerializer(page, many=True, context=context).data)

    def retrieve(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """One rollout."""
        return self._answer(id)

    @extend_schema(request=serializers.RolloutCreateSerializer, responses={201: serializers.RolloutSerializer})
    def create(self, request: Request) -> Response:
        """Make a draft; ``start`` runs it."""
        given = _read(serializers.RolloutCreateSerializer, request.data)
        rollout = services.rollout_create(
            caller=self.caller,
            name=given["name"],
            version_id=given["version"],
            strategy=given["strategy"],
            selector=given["selector"],
            policy=given["policy"],
        )
        return self._answer(rollout.public_id, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.PlanSerializer, responses=serializers.PreviewSerializer, filters=False)
    @action(detail=False, methods=["POST"], pagination_class=None)
    def preview(self, request: Request) -> Response:
        """What starting would plan now. Nothing is written."""
        given = _read(serializers.PlanSerializer, request.data)
        preview = services.rollout_preview(
            caller=self.caller,
            version_id=given["version"],
            strategy=given["strategy"],
            selector=given["selector"],
            policy=given["policy"],
        )
        return Response(selectors.preview_facts(caller=self.caller, preview=preview))

    @extend_schema(responses=serializers.DefaultsSerializer, filters=False)
    @action(detail=False, pagination_class=None)
    def defaults(self, request: Request) -> Response:
        """The policy when nothing is said, and the metrics gates may use."""
        metrics = [
            {"metric": name, "title": info.title, "unit": info.unit, "level_unit": info.level_unit}
            for name, info in METRICS.items()
        ]
        return Response({"policy": to_json(services.policy_asked({})), "metrics": metrics})

    @extend_schema(request=None, responses=serializers.RolloutSerializer)
    @action(detail=True, methods=["POST"])
    def start(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Plan and run a draft."""
        services.rollout_start(caller=self.caller, rollout_id=id)
        return self._answer(id)

    @extend_schema(request=ReasonSerializer, responses=serializers.RolloutSerializer)
    @action(detail=True, methods=["POST"])
    def pause(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Offer nothing new until resumed."""
        return self._move(services.rollout_pause, request, id)

    @extend_schema(request=ReasonSerializer, responses=serializers.RolloutSerializer)
    @action(detail=True, methods=["POST"])
    def resume(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Go on after a pause, a halt or a question."""
        return self._move(services.rollout_resume, request, id)

    @extend_schema(request=ReasonSerializer, responses=serializers.RolloutSerializer)
    @action(detail=True, methods=["POST"])
    def halt(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Stop; devices keep what they run."""
        return self._move(services.rollout_halt, request, id)

    @extend_schema(request=ReasonSerializer, responses=serializers.RolloutSerializer)
    @action(detail=True, methods=["POST"])
    def rollback(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Take the version back from every device that got it."""
        return self._move(services.rollout_rollback, request, id)

    @extend_schema(request=ReasonSerializer, responses=serializers.RolloutSerializer)
    @action(detail=True, methods=["POST"])
    def cancel(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Give the version to nobody further."""
        return self._move(services.rollout_cancel, request, id)

    @extend_schema(responses=serializers.GateResultsSerializer, filters=False)
    @action(detail=True, pagination_class=None)
    def gates(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """The newest result of each gate of each wave."""
        results = selectors.gate_results(caller=self.caller, rollout_id=id)
        rendered = serializers.GateResultSerializer(results, many=True).data
        return Response({"results": rendered, "next": None, "previous": None})

    @extend_schema(responses=serializers.RolloutEventSerializer(many=True))
    @action(detail=True)
    def events(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """The event log, newest first."""
        page = self.page_of(selectors.rollout_events(caller=self.caller, rollout_id=id))
        return self.get_paginated_response(serializers.RolloutEventSerializer(page, many=True).data)

    def _move(self, move: Callable[..., Rollout], request: Request, rollout_id: UUID) -> Response:
        given = _read(ReasonSerializer, request.data)
        move(caller=self.caller, rollout_id=rollout_id, reason=given["reason"])
        return self._answer(rollout_id)


class DeploymentViewSet(OrganizationViewSet[Deployment]):
    """Deployments: one device in one rollout."""

    serializer_class = serializers.DeploymentSerializer
    queryset = Deployment.objects.none()

    def get_queryset(self) -> QuerySet[Deployment]:
        """The organization's."""
        if self.is_schema_generation:
            return Deployment.objects.none()
        return selectors.deployments(caller=self.caller)

    @extend_schema(parameters=[serializers.DeploymentFilterSerializer])
    def list(self, request: Request) -> Response:
        """Deployments that match the filters, newest first."""
        filters = _read(serializers.DeploymentFilterSerializer, request.query_params)
        page = self.page_of(selectors.deployments(caller=self.caller, **filters))
        return self.get_paginated_response(serializers.DeploymentSerializer(page, many=True).data)
