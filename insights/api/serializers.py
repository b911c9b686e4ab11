"""Shapes of insights' REST resources (``docs/api/README.md``)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.models import Job, JobState
from fleet.api.serializers import DeviceSummarySerializer
from rollouts.api.serializers import RolloutSerializer
from telemetry.models import Severity

AREA_SEVERITIES = [(severity.value, severity.value) for severity in (Severity.CRITICAL, Severity.WARNING)]


# --- Jobs -----------------------------------------------------------------------------------------
class JobSubjectSerializer(serializers.Serializer[Any]):
    """What a job works on; ``name`` is null when it is not known any more."""

    kind = serializers.CharField()
    id = serializers.UUIDField()
    name = serializers.CharField(allow_null=True)


class CodeTextSerializer(serializers.Serializer[Any]):
    """A code to match on and a text to read."""

    code = serializers.CharField()
    text = serializers.CharField()


class JobSerializer(serializers.Serializer[Any]):
    """Background work. ``names`` in the context holds names of subjects by ``(kind, id)``."""

    id = serializers.UUIDField(source="public_id")
    kind = serializers.CharField()
    subject = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=JobState.choices)
    attempt = serializers.IntegerField()
    max_attempts = serializers.IntegerField()
    progress_ratio = serializers.FloatField()
    progress_text = serializers.CharField()
    error = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    queue = serializers.CharField()

    @extend_schema_field(JobSubjectSerializer(allow_null=True))
    def get_subject(self, job: Job) -> dict[str, Any] | None:
        """What it works on."""
        if job.subject_id is None:
            return None
        key = (job.subject_kind, str(job.subject_id))
        return {"kind": key[0], "id": key[1], "name": self.context["names"].get(key)}

    @extend_schema_field(CodeTextSerializer(allow_null=True))
    def get_error(self, job: Job) -> dict[str, Any] | None:
        """Why the last attempt failed."""
        return {"code": job.error_code, "text": job.error_text} if job.error_code else None


class JobFilterSerializer(serializers.Serializer[Any]):
    """Filters of the job list."""

    state = serializers.ChoiceField(choices=JobState.choices, required=False)
    kind = serializers.CharField(required=False, max_length=64)


# --- Overview -------------------------------------------------------------------------------------
def _ratio() -> serializers.FloatField:
    return serializers.FloatField(allow_null=True, min_value=0, max_value=1)


class FiguresSerializer(serializers.Serializer[Any]):
    """The fleet now; inference over the last five minutes."""

    online_ratio = _ratio()
    proven_ratio = _ratio()
    proven_count = serializers.IntegerField()
    claimed_count = serializers.IntegerField()
    target_count = serializers.IntegerField()
    inference_rate_s = serializers.FloatField(allow_null=True)
    error_ratio = _ratio()
    latency_ms_p95 = serializers.FloatField(allow_null=True)


def _column() -> serializers.ListField:
    return serializers.ListField(child=serializers.FloatField(allow_null=True))


class FigureSeriesSerializer(serializers.Serializer[Any]):
    """The figures over 24 hours, one point per quarter of an hour."""

    ts = serializers.ListField(child=serializers.DateTimeField())
    online_ratio = _column()
    proven_ratio = _column()
    inference_rate_s = _column()
    error_ratio = _column()
    latency_ms_p95 = _column()


class AreaSerializer(serializers.Serializer[Any]):
    """Health of a region or site; ``hours`` are the last 24, newest last."""

    total = serializers.IntegerField()
    online = serializers.IntegerField()
    offline = serializers.IntegerField()
    error_ratio = _ratio()
    latency_ms_p95 = serializers.FloatField(allow_null=True)
    severity = serializers.ChoiceField(choices=AREA_SEVERITIES, allow_null=True)
    hours = serializers.ListField(child=serializers.ChoiceField(choices=["ok", "warning", "critical", "no_data"]))


class SiteAreaSerializer(AreaSerializer):
    """Health of a site."""

    site = serializers.CharField()


class RegionAreaSerializer(AreaSerializer):
    """Health of a region with its worst sites."""

    region = serializers.CharField()
    site_count = serializers.IntegerField()
    sites = SiteAreaSerializer(many=True)


class AttentionSerializer(serializers.Serializer[Any]):
    """Something that needs a person; ``before`` is what changed before it."""

    kind = serializers.ChoiceField(choices=["alert", "rollout"])
    id = serializers.UUIDField()
    severity = serializers.ChoiceField(choices=Severity.choices)
    title = serializers.CharField()
    text = serializers.CharField()
    since = serializers.DateTimeField()
    before = serializers.CharField(allow_null=True)


class WaitingSerializer(serializers.Serializer[Any]):
    """What waits for a person."""

    approvals = serializers.IntegerField()
    decisions = serializers.IntegerField()
    devices_pending = serializers.IntegerField()
    devices_quarantined = serializers.IntegerField()
    certificates_expiring = serializers.IntegerField()


class OverviewCountsSerializer(serializers.Serializer[Any]):
    """Counts for the navigation."""

    models = serializers.IntegerField()
    rollouts_active = serializers.IntegerField()
    drift_alerting = serializers.IntegerField()
    alerts_critical = serializers.IntegerField()
    alerts_open = serializers.IntegerField()
    jobs_active = serializers.IntegerField()


class OverviewSerializer(serializers.Serializer[Any]):
    """What the Overview shows."""

    devices = DeviceSummarySerializer()
    figures = FiguresSerializer()
    figure_series = FigureSeriesSerializer()
    regions = RegionAreaSerializer(many=True)
    attention = AttentionSerializer(many=True)
    rollouts_in_flight = RolloutSerializer(many=True)
    waiting = WaitingSerializer()
    counts = OverviewCountsSerializer()


# --- Why ------------------------------------------------------------------------------------------
class WhyTargetSerializer(serializers.Serializer[Any]):
    """What is asked about."""

    model = serializers.CharField()
    version = serializers.CharField()
    rollout_id = serializers.UUIDField(allow_null=True)


class WhyLinkSerializer(serializers.Serializer[Any]):
    """Where to read on."""

    kind = serializers.CharField()
    id = serializers.UUIDField()


class WhyStepSerializer(serializers.Serializer[Any]):
    """A step on the way to a version."""

    key = serializers.CharField()
    state = serializers.ChoiceField(choices=["done", "waiting", "next", "failed"])
    title = serializers.CharField()
    text = serializers.CharField(allow_blank=True)
    link = WhyLinkSerializer(allow_null=True)


class WhyNextSerializer(serializers.Serializer[Any]):
    """What comes next; ``at`` is null when that is not known."""

    text = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)


class WhySerializer(serializers.Serializer[Any]):
    """The ordered answer to "why is this device not on X?"."""

    target = WhyTargetSerializer(allow_null=True)
    is_on_target = serializers.BooleanField()
    steps = WhyStepSerializer(many=True)
    next = WhyNextSerializer(allow_null=True)


class WhyQuerySerializer(serializers.Serializer[Any]):
    """About which version; that of the newest deployment when left out."""

    version_id = serializers.UUIDField(required=False)


# --- Tour -----------------------------------------------------------------------------------------
class TourStepSerializer(serializers.Serializer[Any]):
    """A step of the demo's story; ``link`` is a path of the dashboard."""

    key = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(choices=["waiting", "running", "done", "failed"])
    text = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField(allow_null=True)
    link = serializers.CharField(allow_null=True)


class TourActionSerializer(serializers.Serializer[Any]):
    """Something the story can be asked to do."""

    key = serializers.CharField()
    title = serializers.CharField()
    is_available = serializers.BooleanField()
    text = serializers.CharField(allow_blank=True)


class TourSerializer(serializers.Serializer[Any]):
    """The demo's story."""

    steps = TourStepSerializer(many=True)
    actions = TourActionSerializer(many=True)
