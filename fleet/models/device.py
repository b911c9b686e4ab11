"""The device."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.db import models

from common.ids import uuid7
from fleet.models.place import HardwareProfile, Region, Site


class DeviceState(models.TextChoices):
    """Life of a device; whether it is online is derived from ``last_seen_at``."""

    PENDING = "pending"  # known, not yet accepted
    ACCEPTED = "accepted"  # may poll, update and report
    QUARANTINED = "quarantined"  # may poll, gets nothing
    REJECTED = "rejected"  # refused by a person
    DECOMMISSIONED = "decommissioned"  # out of service for good


class Device(models.Model):
    """One device of one organization.

    The columns people select on (region, hardware profile, site, state) are typed; everything else is in
    ``labels`` (set by people) and ``attributes`` (reported by the device).
    """

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    controller_id = models.CharField(max_length=256)  # hawkBit's name for the device's own id
    name = models.CharField(max_length=256)
    state = models.CharField(max_length=16, choices=DeviceState.choices, default=DeviceState.PENDING)
    hardware_profile = models.ForeignKey(HardwareProfile, on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+", null=True)
    region = models.ForeignKey(
        Region, on_delete=models.PROTECT, related_name="+", null=True
    )  # the site's, kept beside it
    labels = models.JSONField(default=dict)
    attributes = models.JSONField(default=dict)
    agent_version = models.CharField(max_length=64, blank=True)
    # Identity: SubjectPublicKeyInfo (DER) of the P-256 key in the certificate our device authority signed.
    public_key = models.BinaryField(null=True)
    certificate_pem = models.TextField(blank=True)
    certificate_expires_at = models.DateTimeField(null=True)
    # Raised whenever what this device would be told at its next poll may have changed; part of its ETag.
    revision = models.BigIntegerField(default=1)
    # The last number given to an action of this device (hawkBit's action id), counted from 1.
    action_number = models.IntegerField(default=0)
    attributes_wanted = models.BooleanField(default=True)
    last_seen_at = models.DateTimeField(null=True)
    # When losing contact was noted (``contact.lost``); null while in contact. Online itself is derived, see
    # ``fleet/policy/contact.py``: this only keeps the event from being written twice.
    contact_lost_at = models.DateTimeField(null=True)
    # Access tokens carry the generation they were issued in; revoking raises it. ``tokens_revoked_at`` only tells
    # which raises are younger than a token lives, so that gateways need not know the others.
    token_generation = models.IntegerField(default=1)
    tokens_revoked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "controller_id"], name="device_controller_id_once"),
        ]
        indexes: ClassVar = [
            # The planner's path: every column it filters on or stratifies by, in one index.
            models.Index(fields=["organization", "state", "region", "hardware_profile"], name="device_selection"),
            GinIndex(fields=["labels"], name="device_labels", opclasses=["jsonb_path_ops"]),
            models.Index(fields=["organization", "-id"], name="device_listing"),
            # Read every few seconds by each gateway process; hardly any device is in it.
            models.Index(
                fields=["tokens_revoked_at"],
                name="device_tokens_revoked",
                condition=models.Q(tokens_revoked_at__isnull=False),
            ),
        ]
