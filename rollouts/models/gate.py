"""What the gates saw."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from rollouts.models.rollout import Rollout


class Verdict(models.TextChoices):
    """A gate's answer. The second and third hold the wave, the last two stop the rollout."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    MISSING_DEVICES = "missing_devices"
    NOT_ENOUGH_DATA = "not_enough_data"
    HARM = "harm"
    CANNOT_COMPUTE = "cannot_compute"


class GateResult(models.Model):
    """One evaluation of one gate of one wave, with its evidence. The newest row per gate is the current verdict."""

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="gate_results", db_index=False)
    wave = models.SmallIntegerField()
    gate = models.CharField(max_length=48)  # for example "disagreement"
    metric = models.CharField(max_length=48)
    verdict = models.CharField(max_length=24, choices=Verdict.choices)
    control = models.CharField(max_length=24)  # matched | holdout | own_history | ceiling
    estimate = models.FloatField(null=True)  # difference to control (or the level, for a ceiling), in the metric's unit
    low = models.FloatField(null=True)  # 95 % confidence sequence
    high = models.FloatField(null=True)
    harm_bound = models.FloatField(null=True)
    treated_count = models.IntegerField(default=0)
    control_count = models.IntegerField(default=0)
    text = models.TextField(blank=True)  # the verdict in one sentence
    data = models.JSONField(default=dict)  # series for the plots, needed and present counts
    at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["rollout", "wave", "gate", "-at"], name="gate_result_newest")]
