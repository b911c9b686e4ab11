"""Shapes of the fleet's REST resources (``docs/api/README.md``)."""

from __future__ import annotations

import shlex
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from common.clock import now
from fleet.events import event_text
from fleet.models import Device, DeviceEvent, DeviceState, EnrolmentToken, Evidence, HardwareProfile, Region, Site
from fleet.policy.contact import is_online
from fleet.policy.texts import MAX_LENGTH
from fleet.selectors import DeviceFilter, state_of_token
from fleet.types import LatestValues

_NAME = 64
_NO_VALUES = LatestValues()
ENROLMENT_TOKEN_STATES = [(state, state) for state in ("active", "used", "expired", "revoked")]


class NamedSerializer(serializers.Serializer[Any]):
    """Something with an id and a name."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()


class InstalledModelSerializer(serializers.Serializer[Any]):
    """What runs on a device."""

    model = serializers.CharField(source="model_name")
    version = serializers.CharField()
    digest = serializers.CharField()
    evidence = serializers.ChoiceField(choices=Evidence.choices)
    since = serializers.DateTimeField()


class DeviceSerializer(serializers.Serializer[Any]):
    """A device. ``latest`` in the context holds the newest telemetry by device number."""

    id = serializers.UUIDField(source="public_id")
    controller_id = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=DeviceState.choices)
    is_online = serializers.SerializerMethodField()
    last_seen_at = serializers.DateTimeField(allow_null=True)
    hardware_profile = NamedSerializer()
    site = NamedSerializer(allow_null=True)
    region = NamedSerializer(allow_null=True)
    labels = serializers.DictField(child=serializers.CharField())
    attributes = serializers.DictField(child=serializers.CharField())
    agent_version = serializers.CharField()
    certificate_expires_at = serializers.DateTimeField(allow_null=True)
    installed = InstalledModelSerializer(many=True, source="installed_models.all")
    health = serializers.SerializerMethodField()
    health_at = serializers.SerializerMethodField()
    window = serializers.SerializerMethodField()
    window_at = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    def get_is_online(self, device: Device) -> bool:
        """The one definition, at this instant."""
        return is_online(device.last_seen_at, at=now(), poll_interval_s=settings.DEVICE_POLL_INTERVAL_S)

    def _latest(self, device: Device) -> LatestValues:
        values: LatestValues = self.context["latest"].get(device.pk, _NO_VALUES)
        return values

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_health(self, device: Device) -> dict[str, Any] | None:
        """The newest health sample by column."""
        return self._latest(device).health

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_health_at(self, device: Device) -> Any:
        """When that was."""
        return self._latest(device).health_at

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_window(self, device: Device) -> dict[str, Any] | None:
        """The newest inference window by column."""
        return self._latest(device).window

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_window_at(self, device: Device) -> Any:
        """When it ended."""
        return self._latest(device).window_at


class LabelField(serializers.CharField):
    """``key=value``."""

    def to_internal_value(self, data: Any) -> Any:
        """The pair."""
        key, separator, value = str(super().to_internal_value(data)).partition("=")
        if not separator or not key:
            raise serializers.ValidationError("A label is given as key=value.")
        return key, value


class DeviceFilterSerializer(serializers.Serializer[Any]):
    """Filters of the device list; those that can be repeated match any of their values."""

    state = serializers.ListField(
        child=serializers.ChoiceField(choices=DeviceState.choices), required=False, max_length=10
    )
    region = serializers.ListField(child=serializers.CharField(), required=False, max_length=50)
    site = serializers.ListField(child=serializers.CharField(), required=False, max_length=50)
    hardware_profile = serializers.ListField(child=serializers.CharField(), required=False, max_length=50)
    is_online = serializers.BooleanField(required=False, allow_null=True)
    model = serializers.CharField(required=False)
    version = serializers.CharField(required=False)
    label = serializers.ListField(  # type: ignore[assignment]
        child=LabelField(), required=False, max_length=20, help_text="key=value"
    )
    search = serializers.CharField(required=False, max_length=200)

    @classmethod
    def read(cls, query: Any) -> DeviceFilter:
        """The filter a query string asks for.

        Raises:
            ValidationError: a value cannot be understood.
        """
        values = {
            name: query.getlist(name) if isinstance(field, serializers.ListField) else query[name]
            for name, field in cls().fields.items()
            if query.get(name)
        }
        serializer = cls(data=values)
        serializer.is_valid(raise_exception=True)
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in serializer.validated_data.items()
        }
        return DeviceFilter(**given | {"label": dict(given.get("label", ()))})


class ReferenceSerializer(serializers.Serializer[Any]):
    """What something is about; ``name`` is null when it is not known any more."""

    kind = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField(allow_null=True)


class DeviceEventSerializer(serializers.Serializer[Any]):
    """An entry of a device's timeline. ``names`` in the context holds names by ``(kind, id)``."""

    id = serializers.CharField(source="pk")
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    text = serializers.SerializerMethodField()
    reference = serializers.SerializerMethodField()
    data = serializers.DictField()  # type: ignore[assignment]

    def get_text(self, event: DeviceEvent) -> str:
        """One sentence."""
        return event_text(event.kind, event.data)

    @extend_schema_field(ReferenceSerializer(allow_null=True))
    def get_reference(self, event: DeviceEvent) -> dict[str, Any] | None:
        """What it is about."""
        if event.reference_id is None:
            return None
        key = (event.reference_kind, str(event.reference_id))
        return {"kind": key[0], "id": key[1], "name": self.context["names"].get(key)}


class RegionCountsSerializer(serializers.Serializer[Any]):
    """Devices of one region; ``region`` is null for devices without one."""

    region = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()
    online = serializers.IntegerField()
    offline = serializers.IntegerField()


class SiteCountsSerializer(RegionCountsSerializer):
    """Devices of one site; ``site`` is null for devices without one."""

    site = serializers.CharField(allow_null=True)
    latitude_deg = serializers.FloatField(allow_null=True)
    longitude_deg = serializers.FloatField(allow_null=True)


class ProfileCountsSerializer(serializers.Serializer[Any]):
    """Devices of one hardware profile."""

    hardware_profile = serializers.CharField()
    total = serializers.IntegerField()
    online = serializers.IntegerField()
    offline = serializers.IntegerField()


class DeviceSummarySerializer(serializers.Serializer[Any]):
    """The fleet in numbers. Totals count devices in service, ``by_state`` counts all."""

    total = serializers.IntegerField()
    online = serializers.IntegerField()
    offline = serializers.IntegerField()
    by_state = serializers.DictField(child=serializers.IntegerField())
    by_region = RegionCountsSerializer(many=True)
    by_site = SiteCountsSerializer(many=True)
    by_hardware_profile = ProfileCountsSerializer(many=True)


class FacetSerializer(serializers.Serializer[Any]):
    """How many of the matching devices have a value; null for those without one."""

    value = serializers.CharField(allow_null=True)
    count = serializers.IntegerField()


class VersionFacetSerializer(FacetSerializer):
    """How many of the matching devices run a version."""

    model = serializers.CharField()


class DeviceFacetsSerializer(serializers.Serializer[Any]):
    """The devices that match, by facet."""

    count = serializers.IntegerField()
    state = FacetSerializer(many=True)
    region = FacetSerializer(many=True)
    site = FacetSerializer(many=True)
    hardware_profile = FacetSerializer(many=True)
    is_online = inline_serializer(
        "OnlineFacet",
        {"value": serializers.BooleanField(), "count": serializers.IntegerField()},
        many=True,
    )
    version = VersionFacetSerializer(many=True)


class EnrolmentTokenSerializer(serializers.Serializer[EnrolmentToken]):
    """An enrolment token, without its secret."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    prefix = serializers.CharField()
    site = NamedSerializer(allow_null=True)
    region = NamedSerializer(source="site.region", allow_null=True, default=None)
    labels = serializers.DictField(child=serializers.CharField())
    state = serializers.SerializerMethodField()
    expires_at = serializers.DateTimeField()
    used_at = serializers.DateTimeField(allow_null=True)
    used_by = NamedSerializer(allow_null=True)
    created_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ChoiceField(choices=ENROLMENT_TOKEN_STATES))
    def get_state(self, token: EnrolmentToken) -> str:
        """Whether it still lets a device in."""
        return state_of_token(token)


class EnrolmentTokenCreatedSerializer(EnrolmentTokenSerializer):
    """A token just made; ``token``, and the line to paste on the device, are shown this once."""

    token = serializers.SerializerMethodField()
    command = serializers.SerializerMethodField()

    def get_token(self, token: EnrolmentToken) -> str:
        """The secret."""
        del token
        return str(self.context["token"])

    def get_command(self, token: EnrolmentToken) -> str:
        """Starts the reference agent and lets it join."""
        arguments = (
            "--server",
            settings.DEVICE_URL,
            "--tenant",
            self.context["tenant"],
            "--token",
            self.context["token"],
        )
        return shlex.join(("flotilla-agent", "run", *arguments))


class EnrolmentTokenCreateSerializer(serializers.Serializer[Any]):
    """What a new token is for. A site that does not exist is made in ``region``."""

    name = serializers.CharField(max_length=128, allow_blank=True, default="")
    site = serializers.CharField(max_length=_NAME, allow_blank=True, allow_null=True, default="")
    region = serializers.CharField(max_length=_NAME, allow_blank=True, allow_null=True, default="")
    labels = serializers.DictField(child=serializers.CharField(max_length=MAX_LENGTH, allow_blank=True), default=dict)
    expires_in_s = serializers.IntegerField(min_value=1, max_value=366 * 86_400, default=86_400)


class RegionSerializer(serializers.Serializer[Region]):
    """A region."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    name = serializers.CharField(max_length=_NAME)
    created_at = serializers.DateTimeField(read_only=True)


class SiteSerializer(serializers.Serializer[Site]):
    """A site."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    region = NamedSerializer()
    latitude_deg = serializers.FloatField(allow_null=True)
    longitude_deg = serializers.FloatField(allow_null=True)
    timezone = serializers.CharField()
    created_at = serializers.DateTimeField()


class SiteCreateSerializer(serializers.Serializer[Any]):
    """A new site. A region that does not exist is made."""

    name = serializers.CharField(max_length=_NAME)
    region = serializers.CharField(max_length=_NAME)
    latitude_deg = serializers.FloatField(min_value=-90, max_value=90, allow_null=True, default=None)
    longitude_deg = serializers.FloatField(min_value=-180, max_value=180, allow_null=True, default=None)
    timezone = serializers.CharField(max_length=64, default="UTC")


class HardwareProfileSerializer(serializers.Serializer[HardwareProfile]):
    """A class of hardware."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    name = serializers.CharField(max_length=128)
    architecture = serializers.CharField(max_length=256)
    cpu = serializers.CharField(max_length=256, allow_blank=True, default="")
    cpu_count = serializers.IntegerField(min_value=1, max_value=65_536, allow_null=True, default=None)
    memory_bytes = serializers.IntegerField(min_value=1, max_value=2**53, allow_null=True, default=None)
    accelerators = serializers.ListField(child=serializers.CharField(max_length=256), max_length=32, default=list)
    runtimes = serializers.ListField(child=serializers.CharField(max_length=256), max_length=32, default=list)
    created_at = serializers.DateTimeField(read_only=True)
