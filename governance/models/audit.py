"""The audit log."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from governance.models.organization import Organization


class AuditEntry(models.Model):
    """What a person, token or job did, or a device's security event. Append-only: a trigger sees to it.

    ``number`` counts from 1 per organization without gaps. ``actor_id`` is opaque, so that a name can be
    erased.
    """

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    number = models.BigIntegerField()
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=16)  # person | token | job | device | system
    actor_id = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=64)  # for example "rollout.pause"
    object_kind = models.CharField(max_length=32)
    object_id = models.CharField(max_length=64)
    reason = models.TextField(blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "number"], name="audit_number_once"),
        ]
