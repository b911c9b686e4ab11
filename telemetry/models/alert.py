"""Alert rules and alerts."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from common.ids import uuid7


class Severity(models.TextChoices):
    """How bad."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertState(models.TextChoices):
    """Life of an alert: ``open -> resolved``."""

    OPEN = "open"
    RESOLVED = "resolved"


class RuleKind(models.TextChoices):
    """What a rule watches."""

    DRIFT = "drift"


class AlertRule(models.Model):
    """When to tell somebody."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=RuleKind.choices)
    threshold = models.FloatField()  # drift: PSI excess from which on the alert opens
    severity = models.CharField(max_length=16, choices=Severity.choices)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="alert_rule_name_once"),
        ]


class Alert(models.Model):
    """Something a person should know. One open alert per rule and subject (``fingerprint``)."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    rule = models.ForeignKey(AlertRule, on_delete=models.PROTECT, related_name="+")
    fingerprint = models.CharField(max_length=64)
    severity = models.CharField(max_length=16, choices=Severity.choices)
    state = models.CharField(max_length=16, choices=AlertState.choices, default=AlertState.OPEN)
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    subject = models.JSONField(default=dict)  # {model, version, region, feature, ...}
    data = models.JSONField(default=dict)  # evidence
    opened_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    silenced_until = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["organization", "-id"], name="alert_listing")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "fingerprint"],
                condition=models.Q(state="open"),
                name="alert_open_once",
            ),
        ]
