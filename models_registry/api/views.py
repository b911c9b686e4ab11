"""The registry's REST resources."""

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

from governance.api.viewsets import OrganizationViewSet
from governance.models import Role
from models_registry import selectors
from models_registry.api import serializers
from models_registry.models import EvaluationSet, Model, ModelVersion
from models_registry.services import approval, catalogue


def _given(serializer: Any) -> dict[str, Any]:
    """The checked body."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class ModelViewSet(OrganizationViewSet[Model]):
    """Models: named lines of versions."""

    serializer_class = serializers.ModelSerializer
    queryset = Model.objects.none()

    def get_queryset(self) -> QuerySet[Model]:
        """The organization's."""
        if self.is_schema_generation:
            return Model.objects.none()
        return selectors.models(caller=self.caller)

    def _shown(self, models: list[Model]) -> list[dict[str, Any]]:
        context = {
            "latest": selectors.latest_versions(models),
            "device_counts": selectors.device_counts(caller=self.caller, models_shown=models),
        }
        return list(serializers.ModelSerializer(models, many=True, context=context).data)

    def list(self, request: Request) -> Response:
        """Models, newest first."""
        return self.get_paginated_response(self._shown(self.page_of(self.get_queryset())))

    def retrieve(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """One model."""
        return Response(self._shown([selectors.model_for(caller=self.caller, model_id=id)])[0])

    @extend_schema(request=serializers.ModelCreateSerializer, responses={201: serializers.ModelSerializer})
    def create(self, request: Request) -> Response:
        """Begin a line of versions."""
        given = _given(serializers.ModelCreateSerializer(data=request.data))
        made = catalogue.model_create(caller=self.caller, **given)
        shown = self._shown([selectors.model_for(caller=self.caller, model_id=made.public_id)])[0]
        return Response(shown, status=status.HTTP_201_CREATED)

    @extend_schema(methods=["GET"], responses=serializers.EvaluationSetSerializer(many=True))
    @extend_schema(
        methods=["POST"],
        request=serializers.EvaluationSetCreateSerializer,
        responses={201: serializers.EvaluationSetSerializer},
    )
    @action(detail=True, methods=["GET", "POST"], url_path="evaluation-sets")
    def evaluation_sets(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """Labelled rows the model's versions are measured on."""
        if request.method == "POST":
            given = _given(serializers.EvaluationSetCreateSerializer(data=request.data))
            made = catalogue.evaluation_set_create(
                caller=self.caller, model_id=id, name=given["name"], upload_id=given["upload"]
            )
            return Response(serializers.EvaluationSetSerializer(made).data, status=status.HTTP_201_CREATED)
        found: QuerySet[EvaluationSet] = selectors.evaluation_sets(caller=self.caller, model_id=id)
        return self.get_paginated_response(serializers.EvaluationSetSerializer(self.page_of(found), many=True).data)


class VersionViewSet(OrganizationViewSet[ModelVersion]):
    """Versions of models."""

    serializer_class = serializers.VersionSerializer
    queryset = ModelVersion.objects.none()
    action_roles = {"approve": Role.ADMINISTRATOR, "decline": Role.ADMINISTRATOR}

    def get_queryset(self) -> QuerySet[ModelVersion]:
        """The organization's."""
        if self.is_schema_generation:
            return ModelVersion.objects.none()
        return selectors.versions(caller=self.caller)

    def _answer(self, version_id: UUID, **response: Any) -> Response:
        version = selectors.version_for(caller=self.caller, version_id=version_id)
        return Response(serializers.VersionSerializer(version).data, **response)

    @extend_schema(parameters=[serializers.VersionFilterSerializer])
    def list(self, request: Request) -> Response:
        """Versions that match the filters, newest first."""
        names = serializers.VersionFilterSerializer().fields.keys()
        query = {name: value for name, value in request.query_params.items() if name in names and value}
        filters = _given(serializers.VersionFilterSerializer(data=query))
        found = selectors.versions_filtered(caller=self.caller, **filters)
        return self.get_paginated_response(serializers.VersionSerializer(self.page_of(found), many=True).data)

    def retrieve(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """One version."""
        return self._answer(id)

    @extend_schema(request=serializers.VersionCreateSerializer, responses={201: serializers.VersionSerializer})
    def create(self, request: Request) -> Response:
        """Publish an upload as a version; a job validates it."""
        given = _given(serializers.VersionCreateSerializer(data=request.data))
        made = catalogue.version_create(
            caller=self.caller,
            model_name=given["model"],
            version=given["version"],
            upload_id=given["upload"],
            evaluation_set_id=given["evaluation_set"],
            description=given["description"],
            parent_id=given["parent"],
            lineage=given["lineage"],
        )
        return self._answer(made.public_id, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Remove a version that was never approved, and free its number."""
        catalogue.version_delete(caller=self.caller, version_id=id)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=serializers.VersionDecisionSerializer, responses=serializers.VersionSerializer)
    @action(detail=True, methods=["POST"], url_path="request-approval")
    def request_approval(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Ask for approval of a ready version."""
        return self._decide(approval.approval_request, request, id)

    @extend_schema(request=serializers.VersionDecisionSerializer, responses=serializers.VersionSerializer)
    @action(detail=True, methods=["POST"])
    def approve(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Approve a version and sign its files; administrators."""
        return self._decide(approval.approval_grant, request, id)

    @extend_schema(request=serializers.VersionDecisionSerializer, responses=serializers.VersionSerializer)
    @action(detail=True, methods=["POST"])
    def decline(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Decline a version; administrators. Approval can be asked for again."""
        return self._decide(approval.approval_decline, request, id)

    @extend_schema(request=serializers.VersionDecisionSerializer, responses=serializers.VersionSerializer)
    @action(detail=True, methods=["POST"])
    def deprecate(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Let no new rollout use a version; devices keep it."""
        return self._decide(catalogue.version_deprecate, request, id)

    def _decide(self, decide: Callable[..., ModelVersion], request: Request, version_id: UUID) -> Response:
        given = _given(serializers.VersionDecisionSerializer(data=request.data))
        decide(caller=self.caller, version_id=version_id, reason=given["reason"])
        return self._answer(version_id)

    @extend_schema(responses=serializers.ReferenceProfileSerializer)
    @action(detail=True)
    def profile(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """The distributions the version is judged against."""
        found = selectors.reference_profile_for(caller=self.caller, version_id=id)
        return Response(serializers.ReferenceProfileSerializer(found.profile).data)
