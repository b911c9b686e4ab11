"""Shapes of telemetry's resources, as in ``docs/api/README.md``."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from flotilla_protocol.messages import HEALTH_COLUMNS
from governance.api.serializers import PersonRefSerializer
from governance.selectors import display_name
from telemetry.models import Alert, AlertRule, AlertState, DriftVerdict, Severity
from telemetry.selectors.series import WINDOW_SERIES_COLUMNS


def _numbers() -> serializers.ListField:
    return serializers.ListField(child=serializers.FloatField(allow_null=True))


def _texts() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(allow_null=True))


HealthSeriesSerializer: Any = type(
    "HealthSeriesSerializer",
    (serializers.Serializer,),
    {
        "__doc__": "Health by column; an entry of nulls stands in every gap.",
        "ts": serializers.ListField(child=serializers.DateTimeField()),
        **{name: _numbers() for name in HEALTH_COLUMNS},
    },
)
WindowSeriesSerializer: Any = type(
    "WindowSeriesSerializer",
    (serializers.Serializer,),
    {
        "__doc__": "Inference windows by column; an entry of nulls stands in every gap.",
        "ts": serializers.ListField(child=serializers.DateTimeField()),
        **{name: _texts() if name in {"model", "version"} else _numbers() for name in WINDOW_SERIES_COLUMNS},
    },
)


class SpanSerializer(serializers.Serializer[Any]):
    """Query of a series."""

    since = serializers.DateTimeField(required=False, help_text="Default: an hour before `until`.")
    until = serializers.DateTimeField(required=False, help_text="Default: now.")
    points = serializers.IntegerField(required=False, help_text="1 to 2,000; default 300.")


class DriftQuerySerializer(serializers.Serializer[Any]):
    """Which version; both left out: the one with the worst cell."""

    model = serializers.CharField(required=False, help_text="A model's name.")
    version = serializers.CharField(required=False, help_text="A version string.")


class DriftCellQuerySerializer(serializers.Serializer[Any]):
    """Which cell."""

    version_id = serializers.UUIDField()
    feature = serializers.CharField()
    region = serializers.CharField(required=False, help_text="A region's name; left out: the smaller regions together.")
    hardware_profile = serializers.CharField(required=False, help_text="A profile's name; left out: all of them.")


class DriftWindowSerializer(serializers.Serializer[Any]):
    """The stretch of time that was judged."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class DriftVersionSerializer(serializers.Serializer[Any]):
    """A version that can be chosen, with its worst verdict."""

    model = serializers.CharField()
    version = serializers.CharField()
    version_id = serializers.UUIDField()
    worst = serializers.ChoiceField(choices=DriftVerdict.choices)


class DriftFeatureSerializer(serializers.Serializer[Any]):
    """A feature."""

    name = serializers.CharField()
    kind = serializers.CharField(help_text="input or output")


class DriftSegmentSerializer(serializers.Serializer[Any]):
    """A segment. `region` null: the regions too small to be judged alone; `hardware_profile` null: all profiles."""

    region = serializers.CharField(allow_null=True)
    hardware_profile = serializers.CharField(allow_null=True)
    device_count = serializers.IntegerField()


class DriftCellSerializer(serializers.Serializer[Any]):
    """One feature in one segment."""

    region = serializers.CharField(allow_null=True)
    hardware_profile = serializers.CharField(allow_null=True)
    feature = serializers.CharField()
    verdict = serializers.ChoiceField(choices=DriftVerdict.choices)
    cause = serializers.CharField(help_text="shape, missing or outside; empty when quiet")
    row_count = serializers.IntegerField()
    device_count = serializers.IntegerField()
    psi = serializers.FloatField(allow_null=True)
    psi_excess = serializers.FloatField(allow_null=True, help_text="PSI less what noise alone would give")
    js_distance = serializers.FloatField(allow_null=True)
    ks_distance = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True)
    mean_reference = serializers.FloatField(allow_null=True)
    mean_current = serializers.FloatField(allow_null=True)
    mean_shift = serializers.FloatField(allow_null=True, help_text="in standard deviations of the reference")
    missing_ratio = serializers.FloatField(allow_null=True)
    outside_ratio = serializers.FloatField(allow_null=True)


class DriftMatrixSerializer(serializers.Serializer[Any]):
    """The newest evaluation of a version. Everything is null or empty while nothing was judged."""

    model = serializers.CharField(allow_null=True)
    version = serializers.CharField(allow_null=True)
    version_id = serializers.UUIDField(allow_null=True)
    window = DriftWindowSerializer(allow_null=True)
    versions = DriftVersionSerializer(many=True)
    features = DriftFeatureSerializer(many=True)
    segments = DriftSegmentSerializer(many=True)
    cells = DriftCellSerializer(many=True)
    false_discovery_ratio = serializers.FloatField(allow_null=True)


class DriftHistorySerializer(serializers.Serializer[Any]):
    """One past evaluation of a cell."""

    at = serializers.DateTimeField()
    psi_excess = serializers.FloatField(allow_null=True)
    verdict = serializers.ChoiceField(choices=DriftVerdict.choices)
    row_count = serializers.IntegerField()


class DriftDistributionSerializer(serializers.Serializer[Any]):
    """Shares per bin; one edge more than bins."""

    edges = serializers.ListField(child=serializers.FloatField())
    reference = serializers.ListField(child=serializers.FloatField())
    current = serializers.ListField(child=serializers.FloatField())


class DriftDeviceSerializer(serializers.Serializer[Any]):
    """A device of the cell, alone against the reference."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    site = serializers.CharField(allow_null=True)
    psi_excess = serializers.FloatField(allow_null=True)
    mean = serializers.FloatField(allow_null=True)
    row_count = serializers.IntegerField()


class DriftMarkSerializer(serializers.Serializer[Any]):
    """Something that happened in the segment."""

    at = serializers.DateTimeField()
    kind = serializers.CharField()
    text = serializers.CharField()
    id = serializers.UUIDField(allow_null=True)


class DriftCellDetailSerializer(serializers.Serializer[Any]):
    """What stands behind a cell."""

    history = DriftHistorySerializer(many=True)
    distribution = DriftDistributionSerializer()
    devices = DriftDeviceSerializer(many=True)
    marks = DriftMarkSerializer(many=True)


class AlertQuerySerializer(serializers.Serializer[Any]):
    """Which alerts."""

    state = serializers.ChoiceField(choices=AlertState.choices, required=False)
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)


class AlertRuleSerializer(serializers.ModelSerializer[AlertRule]):
    """An alert rule."""

    id = serializers.UUIDField(source="public_id", read_only=True)

    class Meta:
        model = AlertRule
        fields = ["id", "name", "kind", "threshold", "severity", "is_enabled"]
        read_only_fields = ["name", "kind"]


class AlertRuleChangeSerializer(serializers.Serializer[Any]):
    """What of a rule can be changed."""

    threshold = serializers.FloatField(required=False)
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    is_enabled = serializers.BooleanField(required=False)


class AlertRuleRefSerializer(serializers.Serializer[Any]):
    """The rule of an alert."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    kind = serializers.CharField()


class AlertSubjectSerializer(serializers.Serializer[Any]):
    """What the alert is about."""

    model = serializers.CharField()
    version = serializers.CharField()
    version_id = serializers.UUIDField()
    region = serializers.CharField(allow_null=True)
    hardware_profile = serializers.CharField(allow_null=True)
    feature = serializers.CharField()


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """An alert."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    rule = AlertRuleRefSerializer(read_only=True)
    subject = AlertSubjectSerializer(read_only=True)
    data = serializers.JSONField(read_only=True)  # type: ignore[assignment]
    acknowledged_by = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields = [
            *("id", "rule", "severity", "state", "title", "text", "subject", "data", "opened_at", "updated_at"),
            *("resolved_at", "acknowledged_at", "acknowledged_by", "silenced_until"),
        ]
        read_only_fields = fields

    @extend_schema_field(PersonRefSerializer(allow_null=True))
    def get_acknowledged_by(self, alert: Alert) -> dict[str, Any] | None:
        """The person, or None (also for a token)."""
        person = alert.acknowledged_by
        return {"id": person.public_id, "name": display_name(person)} if person else None


class SilenceSerializer(serializers.Serializer[Any]):
    """How long an alert is kept out of the way."""

    until = serializers.DateTimeField()
