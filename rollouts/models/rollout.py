"""The rollout and its waves."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from common.ids import uuid7


class RolloutState(models.TextChoices):
    """Life of a rollout; the moves are in ``rollouts/policy/transitions.py``."""

    DRAFT = "draft"
    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    PLANNING = "planning"
    RUNNING = "running"
    PAUSED = "paused"
    NEEDS_DECISION = "needs_decision"
    COMPLETED = "completed"
    HALTED = "halted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class Strategy(models.TextChoices):
    """How devices are split into waves."""

    ALL_AT_ONCE = "all_at_once"
    CANARY = "canary"


class Rollout(models.Model):
    """One version on its way to a set of devices.

    ``released_wave`` is the number devices compare their own wave with: releasing a wave is one UPDATE, whatever its
    size. ``policy`` and ``selector`` are ``rollouts.policy.types`` structs as JSON, validated when the rollout is made.
    """

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=128)
    version = models.ForeignKey("models_registry.ModelVersion", on_delete=models.PROTECT, related_name="+")
    strategy = models.CharField(max_length=16, choices=Strategy.choices)
    selector = models.JSONField(default=dict)
    policy = models.JSONField(default=dict)
    state = models.CharField(max_length=24, choices=RolloutState.choices, default=RolloutState.DRAFT)
    released_wave = models.SmallIntegerField(default=0)  # 0: none
    salt = models.CharField(max_length=32)  # of the hash that assigns devices to waves
    # From when on the released wave is judged: its release, or the last time a person let it go on. Gates look at
    # nothing older, and patience counts from here.
    judged_from = models.DateTimeField(null=True)
    gates_at = models.DateTimeField(null=True)  # of the last evaluation
    looked_at = models.DateTimeField(null=True)  # when the reconciler last took it up: the longest ago comes first
    # What the plan came to, once there is one: {device_count, previous_versions[], skipped{reason: n}}.
    plan = models.JSONField(default=dict)
    halt_reason = models.JSONField(null=True)  # {gate, metric, text}
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            # The reconciler's list; finished rollouts, the great majority in time, are not in it.
            models.Index(
                fields=["organization", "state"],
                name="rollout_active",
                condition=models.Q(
                    state__in=[
                        "planning",
                        "running",
                        "needs_decision",
                        "halted",
                        "rolling_back",
                        "cancelling",
                        "scheduled",
                    ]
                ),
            ),
            models.Index(fields=["organization", "-id"], name="rollout_listing"),
        ]


class Wave(models.Model):
    """A step of a rollout. Membership is the ``wave`` number on the deployment."""

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="waves", db_index=False)
    number = models.SmallIntegerField()  # from 1
    name = models.CharField(max_length=64)  # for example "canary 5 %"
    device_count = models.IntegerField(default=0)
    released_at = models.DateTimeField(null=True)
    passed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["rollout", "number"], name="wave_number_once")]


class RolloutEvent(models.Model):
    """What happened to a rollout, for its event log."""

    public_id = models.UUIDField(default=uuid7, editable=False)
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    kind = models.CharField(max_length=48)
    text = models.TextField()
    data = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["rollout", "-id"], name="rollout_event_newest")]
