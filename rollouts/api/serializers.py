"""Shapes of the rollouts' REST resources (``docs/api/README.md``)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fleet.models import Evidence
from governance.api.serializers import PersonRefSerializer
from rollouts.events import deployment_public_id
from rollouts.models import Deployment, DeploymentState, GateResult, Rollout, RolloutState, Strategy, Verdict
from rollouts.policy.metrics import METRICS, unit_of
from rollouts.selectors import RolloutView

_CONTROLS = [(kind, kind) for kind in ("matched", "holdout", "own_history", "ceiling")]
_COUNTS = serializers.DictField(child=serializers.IntegerField())
_METRICS = [(metric, metric) for metric in METRICS]


class SelectorSerializer(serializers.Serializer[Any]):
    """Which devices; names. Checked by ``rollouts/policy/types.py``."""

    regions = serializers.ListField(child=serializers.CharField(), required=False)
    hardware_profiles = serializers.ListField(child=serializers.CharField(), required=False)
    sites = serializers.ListField(child=serializers.CharField(), required=False)
    labels = serializers.DictField(child=serializers.CharField(), required=False)
    models = serializers.ListField(child=serializers.CharField(), required=False, help_text="name or name@version")


class GateSpecSerializer(serializers.Serializer[Any]):
    """One thing that must not get worse."""

    name = serializers.CharField()
    metric = serializers.ChoiceField(choices=_METRICS)
    harm_bound = serializers.FloatField(allow_null=True, required=False)
    ceiling = serializers.FloatField(allow_null=True, required=False)
    minimum_devices = serializers.IntegerField(required=False)
    minimum_samples = serializers.IntegerField(required=False)
    is_optional = serializers.BooleanField(required=False)


class RetrySerializer(serializers.Serializer[Any]):
    """How often a failed device tries again."""

    attempts = serializers.IntegerField(required=False)
    backoff_s = serializers.FloatField(required=False)


class TimeoutsSerializer(serializers.Serializer[Any]):
    """When silence means something."""

    reachable_s = serializers.FloatField(required=False)
    progress_s = serializers.FloatField(required=False)
    proof_s = serializers.FloatField(required=False)


class PolicySerializer(serializers.Serializer[Any]):
    """How careful. Checked by ``rollouts/policy/types.py``; what is left out takes its default."""

    canary_percent = serializers.FloatField(required=False)
    waves = serializers.ListField(child=serializers.FloatField(), required=False)
    holdout_percent = serializers.FloatField(required=False)
    cover_strata = serializers.BooleanField(required=False)
    soak_s = serializers.FloatField(required=False)
    evidence_required = serializers.ChoiceField(choices=["observed", "attested"], required=False)
    shadow_every = serializers.IntegerField(required=False)
    gates = GateSpecSerializer(many=True, required=False)
    gate_interval_s = serializers.FloatField(required=False)
    proven_percent = serializers.FloatField(required=False)
    max_failed_percent = serializers.FloatField(required=False)
    patience_s = serializers.FloatField(required=False)
    rollback_on_halt = serializers.BooleanField(required=False)
    retry = RetrySerializer(required=False)
    timeouts = TimeoutsSerializer(required=False)


class PlanSerializer(serializers.Serializer[Any]):
    """What to roll out where. Selector and policy are checked as a whole, so that errors name their fields."""

    version = serializers.UUIDField()
    strategy = serializers.ChoiceField(choices=Strategy.choices)
    selector = serializers.JSONField(default=dict)
    policy = serializers.JSONField(default=dict)


class RolloutCreateSerializer(PlanSerializer):
    """A new rollout."""

    name = serializers.CharField(max_length=128)


class RolloutFilterSerializer(serializers.Serializer[Any]):
    """Filters of the list."""

    state = serializers.ChoiceField(choices=RolloutState.choices, required=False)
    model = serializers.CharField(required=False, max_length=64)


class DeploymentFilterSerializer(serializers.Serializer[Any]):
    """Filters of the list."""

    rollout = serializers.UUIDField(required=False)
    device = serializers.UUIDField(required=False)
    state = serializers.ChoiceField(choices=DeploymentState.choices, required=False)
    wave = serializers.IntegerField(required=False, min_value=0, max_value=100)


class WaveSerializer(serializers.Serializer[Any]):
    """A wave with its counts."""

    number = serializers.IntegerField()
    name = serializers.CharField()
    device_count = serializers.IntegerField()
    released_at = serializers.DateTimeField(allow_null=True)
    passed_at = serializers.DateTimeField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField())


class HaltReasonSerializer(serializers.Serializer[Any]):
    """What stopped a rollout; ``gate`` is ``person`` when somebody did."""

    gate = serializers.CharField()
    metric = serializers.CharField(allow_blank=True)
    text = serializers.CharField()


class NextSerializer(serializers.Serializer[Any]):
    """What comes next."""

    text = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)


class EvidenceCountsSerializer(serializers.Serializer[Any]):
    """Deployments by evidence."""

    claimed = serializers.IntegerField()
    observed = serializers.IntegerField()
    attested = serializers.IntegerField()


class RolloutSerializer(serializers.Serializer[Any]):
    """A rollout. ``views`` in the context holds what hangs on it, by number."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    model = serializers.CharField(source="version.model.name")
    version = serializers.CharField(source="version.version")
    version_id = serializers.UUIDField(source="version.public_id")
    strategy = serializers.ChoiceField(choices=Strategy.choices)
    selector = SelectorSerializer()
    policy = PolicySerializer()
    state = serializers.ChoiceField(choices=RolloutState.choices)
    released_wave = serializers.IntegerField()
    waves = serializers.SerializerMethodField()
    counts = serializers.SerializerMethodField()
    evidence = serializers.SerializerMethodField()
    previous_versions = serializers.SerializerMethodField()
    halt_reason = HaltReasonSerializer(allow_null=True)
    control = serializers.SerializerMethodField()
    is_holding = serializers.SerializerMethodField()
    next = serializers.SerializerMethodField()
    created_by = PersonRefSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)

    def _view(self, rollout: Rollout) -> RolloutView:
        view: RolloutView = self.context["views"][rollout.pk]
        return view

    @extend_schema_field(WaveSerializer(many=True))
    def get_waves(self, rollout: Rollout) -> Any:
        """The waves in order."""
        view = self._view(rollout)
        return [
            {
                "number": wave.number,
                "name": wave.name,
                "device_count": wave.device_count,
                "released_at": wave.released_at,
                "passed_at": wave.passed_at,
                "counts": dict(view.counts.waves.get(wave.number, {})),
            }
            for wave in view.waves
        ]

    @extend_schema_field(_COUNTS)
    def get_counts(self, rollout: Rollout) -> dict[str, int]:
        """Deployments by state."""
        return dict(self._view(rollout).counts.counts)

    @extend_schema_field(EvidenceCountsSerializer())
    def get_evidence(self, rollout: Rollout) -> dict[str, int]:
        """Deployments by evidence."""
        counts = self._view(rollout).counts.evidence
        return {evidence: counts[evidence] for evidence in Evidence.values}

    def get_previous_versions(self, rollout: Rollout) -> list[str]:
        """What the devices ran when planned."""
        return [str(version) for version in rollout.plan.get("previous_versions", [])]

    @extend_schema_field(serializers.ChoiceField(choices=_CONTROLS, allow_null=True))
    def get_control(self, rollout: Rollout) -> str | None:
        """What the newest gates compared with."""
        return self._view(rollout).control()

    def get_is_holding(self, rollout: Rollout) -> bool:
        """Whether a gate holds the released wave."""
        return self._view(rollout).holds(rollout)

    @extend_schema_field(NextSerializer())
    def get_next(self, rollout: Rollout) -> dict[str, Any]:
        """What comes next."""
        return self._view(rollout).next(rollout)


class PreviewWaveSerializer(serializers.Serializer[Any]):
    """A wave of a preview."""

    number = serializers.IntegerField()
    name = serializers.CharField()
    device_count = serializers.IntegerField()
    control = serializers.ChoiceField(choices=_CONTROLS)
    by_region = serializers.DictField(child=serializers.IntegerField())
    by_hardware_profile = serializers.DictField(child=serializers.IntegerField())


class LeftOutSerializer(serializers.Serializer[Any]):
    """Devices the selector names and the plan leaves out."""

    reason_code = serializers.CharField()
    text = serializers.CharField()
    count = serializers.IntegerField()


class CurrentVersionSerializer(serializers.Serializer[Any]):
    """What planned devices run; null: nothing of this model."""

    version = serializers.CharField(allow_null=True)
    device_count = serializers.IntegerField()


class PreviewSerializer(serializers.Serializer[Any]):
    """What starting would plan."""

    device_count = serializers.IntegerField()
    waves = PreviewWaveSerializer(many=True)
    left_out = LeftOutSerializer(many=True)
    size_bytes_total = serializers.IntegerField()
    warnings = serializers.ListField(child=serializers.CharField())
    current_versions = CurrentVersionSerializer(many=True)


class MetricSerializer(serializers.Serializer[Any]):
    """A metric gates may use."""

    metric = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.CharField()
    level_unit = serializers.CharField()


class DefaultsSerializer(serializers.Serializer[Any]):
    """What a policy is when nothing is said."""

    policy = PolicySerializer()
    metrics = MetricSerializer(many=True)


class GateResultSerializer(serializers.Serializer[Any]):
    """The newest result of a gate in a wave."""

    wave = serializers.IntegerField()
    gate = serializers.CharField()
    metric = serializers.CharField()
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    control = serializers.ChoiceField(choices=_CONTROLS)
    estimate = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    harm_bound = serializers.FloatField(allow_null=True)
    unit = serializers.SerializerMethodField()
    treated_count = serializers.IntegerField()
    control_count = serializers.IntegerField()
    text = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]
    at = serializers.DateTimeField()

    def get_unit(self, gate: GateResult) -> str:
        """What the numbers are in."""
        return unit_of(gate.metric, gate.control)


class GateResultsSerializer(serializers.Serializer[Any]):
    """All of a rollout's gates: a list that always fits one page."""

    results = GateResultSerializer(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class RolloutEventSerializer(serializers.Serializer[Any]):
    """An entry of the event log."""

    id = serializers.UUIDField(source="public_id")
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    text = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]


class DeploymentRolloutSerializer(serializers.Serializer[Any]):
    """The rollout of a deployment."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    model = serializers.CharField(source="version.model.name")
    version = serializers.CharField(source="version.version")


class DeploymentDeviceSerializer(serializers.Serializer[Any]):
    """The device of a deployment."""

    id = serializers.UUIDField(source="public_id")
    controller_id = serializers.CharField()
    name = serializers.CharField()
    region = serializers.CharField(source="region.name", allow_null=True, default=None)
    hardware_profile = serializers.CharField(source="hardware_profile.name")


class DeploymentSerializer(serializers.Serializer[Any]):
    """One device in one rollout."""

    id = serializers.SerializerMethodField()
    rollout = DeploymentRolloutSerializer()
    device = DeploymentDeviceSerializer()
    wave = serializers.IntegerField()
    state = serializers.ChoiceField(choices=DeploymentState.choices)
    state_at = serializers.DateTimeField()
    reason_code = serializers.CharField(allow_blank=True)
    evidence = serializers.CharField(allow_blank=True)
    attempt = serializers.IntegerField()
    installed_at = serializers.DateTimeField(allow_null=True)
    proven_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(serializers.UUIDField())
    def get_id(self, deployment: Deployment) -> str:
        """Made of the rollout's and the device's."""
        return str(deployment_public_id(deployment.rollout.public_id, deployment.device.public_id))
