"""The two ledgers: what happened to a device, and what it runs."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from fleet.models.device import Device


class Evidence(models.TextChoices):
    """How well we know that a device runs something, weakest first."""

    CLAIMED = "claimed"  # the device said so
    OBSERVED = "observed"  # a later poll or its attributes name the running version, after the soak
    ATTESTED = "attested"  # a signed report names the running digest, with passed self-test and clean soak


class DeviceEvent(models.Model):
    """Something that happened to a device. Partitioned by month of ``at``; made by SQL in the migration.

    Appended through ``fleet.services.events.device_event_append`` by whoever caused it.
    """

    device = models.ForeignKey(Device, on_delete=models.DO_NOTHING, related_name="+")
    at = models.DateTimeField()
    kind = models.CharField(max_length=48)  # for example "deployment.proven"
    reference_kind = models.CharField(max_length=32, blank=True)
    reference_id = models.UUIDField(null=True)
    data = models.JSONField(default=dict)

    class Meta:
        managed = False  # a partitioned table: its primary key is (id, at)
        db_table = "fleet_deviceevent"


class InstalledModel(models.Model):
    """What runs on a device, written on proof. A row per device and model."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="installed_models")
    model_name = models.CharField(max_length=64)
    version = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)  # SHA-256 of the artifact, hex
    evidence = models.CharField(max_length=16, choices=Evidence.choices)
    since = models.DateTimeField()
    # What ran before, so that a rollback knows where to go; empty for a device's first model.
    previous_version = models.CharField(max_length=64, blank=True)
    previous_digest = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["device", "model_name"], name="installed_model_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["model_name", "version"], name="installed_model_version")]
