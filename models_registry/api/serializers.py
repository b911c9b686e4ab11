"""Shapes of the registry's REST resources (``docs/api/README.md``)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from governance.api.serializers import PersonRefSerializer
from models_registry.models import Approval, Model, ModelVersion, VersionState


class ModelLatestVersionSerializer(serializers.Serializer[Any]):
    """A model's newest version."""

    id = serializers.UUIDField(source="public_id")
    version = serializers.CharField()
    state = serializers.ChoiceField(choices=VersionState.choices)
    approval = serializers.ChoiceField(choices=Approval.choices)


class ModelDeviceCountSerializer(serializers.Serializer[Any]):
    """How many devices run any version of a model, by how well that is known."""

    proven = serializers.IntegerField()
    claimed = serializers.IntegerField()


class ModelSerializer(serializers.Serializer[Any]):
    """A model. The context carries ``latest`` and ``device_counts`` of the page."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    description = serializers.CharField()
    version_count = serializers.IntegerField()
    latest_version = serializers.SerializerMethodField()
    device_count = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    @extend_schema_field(ModelLatestVersionSerializer(allow_null=True))
    def get_latest_version(self, model: Model) -> Any:
        """The version made last."""
        version = self.context["latest"].get(model.pk)
        return ModelLatestVersionSerializer(version).data if version else None

    @extend_schema_field(ModelDeviceCountSerializer)
    def get_device_count(self, model: Model) -> dict[str, int]:
        """Devices by evidence."""
        counts: dict[str, int] = self.context["device_counts"].get(model.name, {"proven": 0, "claimed": 0})
        return counts


class ModelCreateSerializer(serializers.Serializer[Any]):
    """A new model."""

    name = serializers.CharField(max_length=64)
    description = serializers.CharField(max_length=4000, allow_blank=True, default="")


class EvaluationSetRefSerializer(serializers.Serializer[Any]):
    """What a version was measured on."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    row_count = serializers.IntegerField()


class EvaluationSetSerializer(EvaluationSetRefSerializer):
    """An evaluation set."""

    digest = serializers.CharField(source="artifact.sha256")
    created_at = serializers.DateTimeField()


class EvaluationSetCreateSerializer(serializers.Serializer[Any]):
    """A new evaluation set: an upload's id."""

    name = serializers.CharField(max_length=128)
    upload = serializers.UUIDField()


class NamedModelSerializer(serializers.Serializer[Any]):
    """A model by id and name."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()


class VersionRefSerializer(serializers.Serializer[Any]):
    """A version by id and number."""

    id = serializers.UUIDField(source="public_id")
    version = serializers.CharField()


class VersionReasonSerializer(serializers.Serializer[Any]):
    """Why something happened to a version: a stable code, and a sentence."""

    code = serializers.CharField()
    text = serializers.CharField()


class TensorSpecSerializer(serializers.Serializer[Any]):
    """An input or output; ``shape`` holds numbers, names of free axes, or null."""

    name = serializers.CharField()
    dtype = serializers.CharField()
    shape = serializers.ListField(child=serializers.JSONField())


class VersionDetailsSerializer(serializers.Serializer[Any]):
    """What the file says about itself, and what held while it was looked at."""

    format = serializers.CharField(required=False)
    opset = serializers.IntegerField(required=False, allow_null=True)
    ir_version = serializers.IntegerField(required=False, allow_null=True)
    producer = serializers.CharField(required=False)
    operators = serializers.ListField(child=serializers.CharField(), required=False)
    labels = serializers.ListField(child=serializers.CharField(), required=False)
    size_bytes = serializers.IntegerField(required=False)
    sandbox = serializers.ListField(child=serializers.CharField(), required=False)


class EvaluationSerializer(serializers.Serializer[Any]):
    """What the version did with the evaluation set; ``confusion`` rows are truth, columns answers."""

    accuracy = serializers.FloatField()
    accuracy_by_class = serializers.DictField(child=serializers.FloatField(allow_null=True))
    confusion = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()), allow_null=True)
    row_count = serializers.IntegerField()
    latency_ms_p50 = serializers.FloatField()
    latency_ms_p95 = serializers.FloatField()


class NamedHardwareProfileSerializer(serializers.Serializer[Any]):
    """A hardware profile by id and name."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()


class ReplicaSerializer(serializers.Serializer[Any]):
    """A store that holds the file."""

    name = serializers.CharField(source="store")
    created_at = serializers.DateTimeField()


class MeasuredSerializer(serializers.Serializer[Any]):
    """A variant's own measurement; ``agreement_ratio`` is with its parent's answers."""

    accuracy = serializers.FloatField(required=False, allow_null=True)
    latency_ms_p50 = serializers.FloatField(required=False, allow_null=True)
    latency_ms_p95 = serializers.FloatField(required=False, allow_null=True)
    agreement_ratio = serializers.FloatField(required=False, allow_null=True)


class VariantSerializer(serializers.Serializer[Any]):
    """A form of a version for some hardware (null: any)."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    hardware_profile = NamedHardwareProfileSerializer(allow_null=True)
    digest = serializers.CharField(source="artifact.sha256")
    size_bytes = serializers.IntegerField(source="artifact.size_bytes")
    measured = MeasuredSerializer()
    stores = ReplicaSerializer(source="artifact.replicas.all", many=True)


class VersionSerializer(serializers.Serializer[Any]):
    """A version of a model."""

    id = serializers.UUIDField(source="public_id")
    model = NamedModelSerializer()
    version = serializers.CharField()
    description = serializers.CharField()
    state = serializers.ChoiceField(choices=VersionState.choices)
    state_reason = VersionReasonSerializer(allow_null=True)
    approval = serializers.ChoiceField(choices=Approval.choices)
    approved_by = PersonRefSerializer(allow_null=True)
    approved_at = serializers.DateTimeField(allow_null=True)
    approval_reason = serializers.CharField()
    parent = VersionRefSerializer(allow_null=True)
    lineage = serializers.DictField(child=serializers.CharField())
    inputs = TensorSpecSerializer(many=True)
    outputs = TensorSpecSerializer(many=True)
    details = VersionDetailsSerializer()
    evaluation_set = EvaluationSetRefSerializer(allow_null=True)
    evaluation = EvaluationSerializer(allow_null=True)
    signing_mode = serializers.CharField()
    variants = VariantSerializer(many=True)
    has_reference_profile = serializers.SerializerMethodField()
    created_by = PersonRefSerializer(allow_null=True)
    created_at = serializers.DateTimeField()

    def get_has_reference_profile(self, version: ModelVersion) -> bool:
        """Whether drift can be judged against it."""
        return hasattr(version, "reference_profile")


class VersionCreateSerializer(serializers.Serializer[Any]):
    """A new version; ``model`` is a name, the others ids."""

    model = serializers.CharField(max_length=64)
    version = serializers.CharField(max_length=64)
    description = serializers.CharField(max_length=4000, allow_blank=True, default="")
    upload = serializers.UUIDField()
    evaluation_set = serializers.UUIDField(allow_null=True, default=None)
    parent = serializers.UUIDField(allow_null=True, default=None)  # type: ignore[assignment]
    lineage = serializers.DictField(child=serializers.CharField(allow_blank=True), default=dict)


class VersionDecisionSerializer(serializers.Serializer[Any]):
    """Why a person decides so."""

    reason = serializers.CharField(max_length=2000, allow_blank=True, default="")


class VersionFilterSerializer(serializers.Serializer[Any]):
    """Filters of the version list."""

    model = serializers.CharField(required=False, max_length=64, help_text="a model's name")
    state = serializers.ChoiceField(choices=VersionState.choices, required=False)
    approval = serializers.ChoiceField(choices=Approval.choices, required=False)


class FeatureProfileSerializer(serializers.Serializer[Any]):
    """The reference distribution of one feature (``docs/protocol/device.md``, section 5)."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["input", "output"])
    edges = serializers.ListField(child=serializers.FloatField())
    counts = serializers.ListField(child=serializers.IntegerField())
    sums = serializers.ListField(child=serializers.FloatField())
    below = serializers.IntegerField()
    above = serializers.IntegerField()
    missing = serializers.IntegerField()
    row_count = serializers.IntegerField()


class ReferenceProfileSerializer(serializers.Serializer[Any]):
    """All features of a version's reference."""

    features = FeatureProfileSerializer(many=True)
