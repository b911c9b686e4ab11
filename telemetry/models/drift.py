"""Drift scores."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class DriftVerdict(models.TextChoices):
    """What a drift cell says."""

    QUIET = "quiet"
    WARN = "warn"
    ALERT = "alert"
    NOT_ENOUGH_DATA = "not_enough_data"


class DriftCause(models.TextChoices):
    """Which of the tests made the verdict."""

    SHAPE = "shape"  # the distribution moved
    MISSING = "missing"  # more values are missing than in the reference
    OUTSIDE = "outside"  # more values lie outside the reference's range


class DriftScore(models.Model):
    """Distance of a segment's feature from its version's reference in one window; definitions in ``policy/drift.py``.

    ``region`` null is the pool of regions (and devices without one) too small to be judged alone; ``hardware_profile``
    null is all profiles of the region together.
    """

    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey("models_registry.ModelVersion", on_delete=models.CASCADE, related_name="+")
    region = models.ForeignKey("fleet.Region", on_delete=models.CASCADE, related_name="+", null=True)
    hardware_profile = models.ForeignKey("fleet.HardwareProfile", on_delete=models.CASCADE, related_name="+", null=True)
    feature = models.CharField(max_length=64)
    kind = models.CharField(max_length=16)  # input | output
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    row_count = models.BigIntegerField()  # values seen, missing ones included
    device_count = models.IntegerField()
    psi = models.FloatField(null=True)
    psi_excess = models.FloatField(null=True)  # PSI without its noise
    js_distance = models.FloatField(null=True)  # natural logarithm, 0 to 0.833
    ks_distance = models.FloatField(null=True)
    p_value = models.FloatField(null=True)  # of the test that made the verdict, else of the shape
    mean_reference = models.FloatField(null=True)
    mean_current = models.FloatField(null=True)
    mean_shift = models.FloatField(null=True)  # (current - reference) in standard deviations of the reference
    missing_ratio = models.FloatField(null=True)  # 0 to 1, of row_count
    outside_ratio = models.FloatField(null=True)  # 0 to 1, of the values that are not missing
    verdict = models.CharField(max_length=16, choices=DriftVerdict.choices)
    cause = models.CharField(max_length=16, choices=DriftCause.choices, blank=True)  # empty when quiet
    counts = models.JSONField(default=list)  # current counts per bin, for the distribution plot

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["organization", "version", "-window_end"], name="drift_newest"),
            models.Index(fields=["window_end"], name="drift_age"),
        ]
