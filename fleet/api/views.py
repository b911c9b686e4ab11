"""The fleet's REST resources."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from fleet import selectors
from fleet.api import serializers
from fleet.models import Device, EnrolmentToken, HardwareProfile, Region, Site
from fleet.services import enrolment_tokens, lifecycle, places
from fleet.summary import devices_facets, devices_summary
from governance.api.serializers import ReasonSerializer
from governance.api.viewsets import OrganizationViewSet
from governance.selectors import organization_of


class DeviceViewSet(OrganizationViewSet[Device]):
    """Devices."""

    serializer_class = serializers.DeviceSerializer
    queryset = Device.objects.none()

    def get_queryset(self) -> QuerySet[Device]:
        """The organization's."""
        if self.is_schema_generation:
            return Device.objects.none()
        return selectors.devices(caller=self.caller)

    def _answer(self, device: Device) -> Response:
        latest = selectors.latest_values([device.pk])
        return Response(serializers.DeviceSerializer(device, context={"latest": latest}).data)

    @extend_schema(parameters=[serializers.DeviceFilterSerializer])
    def list(self, request: Request) -> Response:
        """Devices that match the filters, newest first."""
        filters = serializers.DeviceFilterSerializer.read(request.query_params)
        page = self.page_of(selectors.devices_list(caller=self.caller, filters=filters))
        latest = selectors.latest_values([device.pk for device in page])
        serializer = serializers.DeviceSerializer(page, many=True, context={"latest": latest})
        return self.get_paginated_response(serializer.data)

    def retrieve(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """One device."""
        return self._answer(selectors.device_for(caller=self.caller, device_id=id))

    @extend_schema(responses=serializers.DeviceSummarySerializer, filters=False)
    @action(detail=False, pagination_class=None)
    def summary(self, request: Request) -> Response:
        """The fleet in numbers."""
        return Response(devices_summary(caller=self.caller))

    @extend_schema(parameters=[serializers.DeviceFilterSerializer], responses=serializers.DeviceFacetsSerializer)
    @action(detail=False, pagination_class=None)
    def facets(self, request: Request) -> Response:
        """How the devices that match the filters spread over states, places, hardware and versions."""
        filters = serializers.DeviceFilterSerializer.read(request.query_params)
        return Response(devices_facets(caller=self.caller, filters=filters))

    @extend_schema(responses=serializers.DeviceEventSerializer(many=True))
    @action(detail=True)
    def events(self, request: Request, id: UUID) -> Response:  # noqa: A002 - the URL's name
        """The device's timeline, newest first."""
        page = self.page_of(selectors.device_events(caller=self.caller, device_id=id))
        names = selectors.event_reference_names(caller=self.caller, events=page)
        serializer = serializers.DeviceEventSerializer(page, many=True, context={"names": names})
        return self.get_paginated_response(serializer.data)

    @extend_schema(request=ReasonSerializer, responses=serializers.DeviceSerializer)
    @action(detail=True, methods=["POST"])
    def accept(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Let a pending or quarantined device take part."""
        return self._move(lifecycle.device_accept, request, id)

    @extend_schema(request=ReasonSerializer, responses=serializers.DeviceSerializer)
    @action(detail=True, methods=["POST"])
    def quarantine(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Keep a device connected and give it nothing."""
        return self._move(lifecycle.device_quarantine, request, id)

    @extend_schema(request=ReasonSerializer, responses=serializers.DeviceSerializer)
    @action(detail=True, methods=["POST"])
    def decommission(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Take a device out of service for good."""
        return self._move(lifecycle.device_decommission, request, id)

    def _move(self, move: Any, request: Request, device_id: UUID) -> Response:
        body = ReasonSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        move(caller=self.caller, device_id=device_id, reason=body.validated_data["reason"])
        return self._answer(selectors.device_for(caller=self.caller, device_id=device_id))


class EnrolmentTokenViewSet(ListModelMixin, RetrieveModelMixin, OrganizationViewSet[EnrolmentToken]):
    """Enrolment tokens: each lets one device in, once."""

    serializer_class = serializers.EnrolmentTokenSerializer
    queryset = EnrolmentToken.objects.none()

    def get_queryset(self) -> QuerySet[EnrolmentToken]:
        """The organization's."""
        if self.is_schema_generation:
            return EnrolmentToken.objects.none()
        return selectors.enrolment_tokens(caller=self.caller)

    @extend_schema(
        request=serializers.EnrolmentTokenCreateSerializer,
        responses={201: serializers.EnrolmentTokenCreatedSerializer},
    )
    def create(self, request: Request) -> Response:
        """Make a token; its secret is in this answer and nowhere else."""
        body = serializers.EnrolmentTokenCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        made = enrolment_tokens.enrolment_token_create(
            caller=self.caller,
            name=given["name"],
            site=given["site"] or "",
            region=given["region"] or "",
            labels=given["labels"],
            lifetime=timedelta(seconds=given["expires_in_s"]),
        )
        serializer = serializers.EnrolmentTokenCreatedSerializer(
            made.token, context={"token": made.text, "tenant": organization_of(caller=self.caller).slug}
        )
        return Response(serializer.data, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})

    @extend_schema(request=None, responses=serializers.EnrolmentTokenSerializer)
    @action(detail=True, methods=["POST"])
    def revoke(self, request: Request, id: UUID) -> Response:  # noqa: A002
        """Revoke a token that was not used."""
        token = enrolment_tokens.enrolment_token_revoke(caller=self.caller, token_id=id)
        return Response(serializers.EnrolmentTokenSerializer(token).data)


class RegionViewSet(ListModelMixin, RetrieveModelMixin, OrganizationViewSet[Region]):
    """Regions."""

    serializer_class = serializers.RegionSerializer
    queryset = Region.objects.none()

    def get_queryset(self) -> QuerySet[Region]:
        """The organization's."""
        return Region.objects.none() if self.is_schema_generation else selectors.regions(caller=self.caller)

    @extend_schema(request=serializers.RegionSerializer, responses={201: serializers.RegionSerializer})
    def create(self, request: Request) -> Response:
        """Make a region."""
        body = serializers.RegionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        region = places.region_create(caller=self.caller, name=body.validated_data["name"])
        return Response(serializers.RegionSerializer(region).data, status=status.HTTP_201_CREATED)


class SiteViewSet(ListModelMixin, RetrieveModelMixin, OrganizationViewSet[Site]):
    """Sites."""

    serializer_class = serializers.SiteSerializer
    queryset = Site.objects.none()

    def get_queryset(self) -> QuerySet[Site]:
        """The organization's."""
        return Site.objects.none() if self.is_schema_generation else selectors.sites(caller=self.caller)

    @extend_schema(request=serializers.SiteCreateSerializer, responses={201: serializers.SiteSerializer})
    def create(self, request: Request) -> Response:
        """Make a site."""
        body = serializers.SiteCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        site = places.site_create(caller=self.caller, **body.validated_data)
        return Response(serializers.SiteSerializer(site).data, status=status.HTTP_201_CREATED)


class HardwareProfileViewSet(ListModelMixin, RetrieveModelMixin, OrganizationViewSet[HardwareProfile]):
    """Hardware profiles."""

    serializer_class = serializers.HardwareProfileSerializer
    queryset = HardwareProfile.objects.none()

    def get_queryset(self) -> QuerySet[HardwareProfile]:
        """The organization's."""
        if self.is_schema_generation:
            return HardwareProfile.objects.none()
        return selectors.hardware_profiles(caller=self.caller)

    @extend_schema(
        request=serializers.HardwareProfileSerializer, responses={201: serializers.HardwareProfileSerializer}
    )
    def create(self, request: Request) -> Response:
        """Make a hardware profile."""
        body = serializers.HardwareProfileSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        profile = places.hardware_profile_create(caller=self.caller, **body.validated_data)
        return Response(serializers.HardwareProfileSerializer(profile).data, status=status.HTTP_201_CREATED)
