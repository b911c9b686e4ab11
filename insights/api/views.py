"""Insights' REST resources."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.models import Job
from governance.api.viewsets import OrganizationViewSet
from governance.types import Caller
from insights import tour
from insights.api import serializers
from insights.selectors import jobs as selectors
from insights.selectors.overview import overview
from insights.selectors.why import device_why
from insights.services import jobs as services
from rollouts.selectors import rollout_views


def _caller(request: Request) -> Caller:
    return cast("Caller", request.auth)


class JobViewSet(OrganizationViewSet[Job]):
    """Background work."""

    serializer_class = serializers.JobSerializer
    queryset = Job.objects.none()

    def _answer(self, job: Job) -> Response:
        names = selectors.job_subject_names(caller=self.caller, shown=[job])
        return Response(serializers.JobSerializer(job, context={"names": names}).data)

    @extend_schema(parameters=[serializers.JobFilterSerializer])
    def list(self, request: Request) -> Response:
        """Jobs, newest first."""
        query = serializers.JobFilterSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = self.page_of(selectors.jobs(caller=self.caller).filter(**query.validated_data))
        names = selectors.job_subject_names(caller=self.caller, shown=page)
        serializer = serializers.JobSerializer(page, many=True, context={"names": names})
        return self.get_paginated_response(serializer.data)

    def retrieve(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """One job."""
        return self._answer(selectors.job_for(caller=self.caller, job_id=id))

    @extend_schema(request=None, responses=serializers.JobSerializer)
    @action(detail=True, methods=["POST"])
    def cancel(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Cancel a job that has not ended."""
        return self._answer(services.job_cancel(caller=self.caller, job_id=id))

    @extend_schema(request=None, responses=serializers.JobSerializer)
    @action(detail=True, methods=["POST"])
    def retry(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Queue a failed or cancelled job again."""
        return self._answer(services.job_retry(caller=self.caller, job_id=id))


class OverviewView(APIView):
    """The Overview."""

    @extend_schema(responses=serializers.OverviewSerializer)
    def get(self, request: Request) -> Response:
        """Everything the Overview shows, in one answer."""
        shown = overview(caller=_caller(request))
        context = {"views": rollout_views(shown["rollouts_in_flight"])}
        return Response(serializers.OverviewSerializer(shown, context=context).data)


class DeviceWhyView(APIView):
    """Why a device is not updated."""

    @extend_schema(parameters=[serializers.WhyQuerySerializer], responses=serializers.WhySerializer)
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """The ordered answer to "why is this device not on X?"."""
        query = serializers.WhyQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        answer = device_why(caller=_caller(request), device_id=id, version_id=query.validated_data.get("version_id"))
        return Response(serializers.WhySerializer(answer).data)


class TourView(APIView):
    """The demo's story."""

    @extend_schema(responses=serializers.TourSerializer)
    def get(self, request: Request) -> Response:
        """How far the story is; 404 outside the demo."""
        return Response(tour.tour_as_json(tour.tour(caller=_caller(request))))


class TourActionView(APIView):
    """What the demo's story can be asked to do."""

    @extend_schema(request=None, responses={202: None})
    def post(self, request: Request, key: str) -> Response:
        """Ask the story to do something; it happens in the background."""
        tour.tour_act(caller=_caller(request), key=key)
        return Response(status=status.HTTP_202_ACCEPTED)
