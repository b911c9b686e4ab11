"""Where devices are and what they are made of."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from common.ids import uuid7


class HardwareProfile(models.Model):
    """A class of hardware: which variant fits, and who is comparable with whom."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    # Bounds are those of flotilla_protocol.messages.Hardware.
    name = models.CharField(max_length=128)  # for example "jetson-orin-nano"
    architecture = models.CharField(max_length=256, blank=True)  # for example "aarch64"
    cpu = models.CharField(max_length=256, blank=True)
    cpu_count = models.PositiveIntegerField(null=True)
    memory_bytes = models.BigIntegerField(null=True)
    accelerators = models.JSONField(default=list)  # list of names
    runtimes = models.JSONField(default=list)  # for example ["onnxruntime 1.31.1"]
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="hardware_profile_name_once"),
        ]


class Region(models.Model):
    """A group of sites under one name; rollouts, drift and health are broken down by it."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="region_name_once"),
        ]


class Site(models.Model):
    """A place with devices: a shop, a ward, a hall."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    region = models.ForeignKey(Region, on_delete=models.PROTECT, related_name="sites")
    name = models.CharField(max_length=64)
    latitude_deg = models.FloatField(null=True)  # -90 to 90, WGS 84
    longitude_deg = models.FloatField(null=True)  # -180 to 180
    timezone = models.CharField(max_length=64, default="UTC")  # IANA name
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="site_name_once"),
        ]
