"""Models, their versions and variants."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from common.ids import uuid7
from models_registry.models.artifact import Artifact


class Model(models.Model):
    """A named line of versions that do the same job."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    name = models.SlugField(max_length=64)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "name"], name="model_name_once")]


class EvaluationSet(models.Model):
    """Labelled inputs a version is measured on: ``.npz`` with ``x`` float32 ``[N, ...]`` and ``y`` int64 ``[N]``."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="evaluation_sets")
    name = models.CharField(max_length=128)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")
    row_count = models.IntegerField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["model", "name"], name="evaluation_set_name_once")]


class VersionState(models.TextChoices):
    """Life of a version: ``draft -> validating -> ready | invalid``, ``ready -> deprecated``."""

    DRAFT = "draft"
    VALIDATING = "validating"
    READY = "ready"
    INVALID = "invalid"
    DEPRECATED = "deprecated"


class Approval(models.TextChoices):
    """Whether people agreed: ``none -> requested -> approved | declined``."""

    NONE = "none"
    REQUESTED = "requested"
    APPROVED = "approved"
    DECLINED = "declined"


class ModelVersion(models.Model):
    """One version of a model. Its bytes are its variants'."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    version = models.CharField(max_length=64)  # for example "1.2.0"
    description = models.TextField(blank=True)
    state = models.CharField(max_length=16, choices=VersionState.choices, default=VersionState.DRAFT)
    state_reason = models.JSONField(null=True)  # {code, text} when invalid
    approval = models.CharField(max_length=16, choices=Approval.choices, default=Approval.NONE)
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    approved_at = models.DateTimeField(null=True)
    approval_reason = models.TextField(blank=True)
    # The file as it was published; its variants are derived from it.
    source = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, related_name="+", null=True)
    lineage = models.JSONField(default=dict)  # {code, data, run, ...}, as declared at publishing
    # Tensors as the file declares them: list of {name, dtype, shape}; shape holds numbers or names of free axes.
    inputs = models.JSONField(default=list)
    outputs = models.JSONField(default=list)
    details = models.JSONField(default=dict)  # format, opset, IR version, producer, operators, class labels
    evaluation_set = models.ForeignKey(EvaluationSet, on_delete=models.PROTECT, related_name="+", null=True)
    # {accuracy, accuracy_by_class, confusion, row_count, latency_ms_p50, latency_ms_p95} as measured in validation
    evaluation = models.JSONField(null=True)
    signing_mode = models.CharField(max_length=16, default="online-key")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["model", "version"], name="version_once")]


class Variant(models.Model):
    """A form of a version for some hardware. ``hardware_profile`` null means any."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="variants")
    name = models.CharField(max_length=64)  # for example "fp32"
    hardware_profile = models.ForeignKey("fleet.HardwareProfile", on_delete=models.PROTECT, related_name="+", null=True)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")  # the model file
    manifest = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+", null=True)  # manifest.json
    measured = models.JSONField(default=dict)  # {accuracy, latency_ms_p50, latency_ms_p95, agreement_ratio}
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "name"], name="variant_name_once")]
        indexes: ClassVar = [models.Index(fields=["artifact"], name="variant_artifact")]


class ReferenceProfile(models.Model):
    """Distributions a version is judged against: ``flotilla_protocol.profile.ReferenceProfile`` as JSON."""

    version = models.OneToOneField(ModelVersion, on_delete=models.CASCADE, related_name="reference_profile")
    profile = models.JSONField()
    row_count = models.IntegerField()
    created_at = models.DateTimeField()
