"""One device in one rollout, and what its wire shows."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from rollouts.models.rollout import Rollout


class DeploymentState(models.TextChoices):
    """Life of a deployment; the moves are in ``rollouts/policy/transitions.py``."""

    PLANNED = "planned"
    OFFERED = "offered"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    INSTALLING = "installing"
    PROBATION = "probation"
    PROVEN = "proven"
    RETRY_WAIT = "retry_wait"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    RESTORING = "restoring"
    ROLLED_BACK = "rolled_back"
    RESTORE_FAILED = "restore_failed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Deployment(models.Model):
    """One device in one rollout.

    Made by the planner's single INSERT, a million at a time: hence few indexes, and no foreign key constraints, which
    are three quarters of that INSERT's cost. The INSERT reads devices and variants in the same statement, nothing else
    makes deployments, and neither devices, variants nor rollouts are ever deleted.
    """

    # The first index below starts with it, so it needs none of its own.
    rollout = models.ForeignKey(
        Rollout, on_delete=models.CASCADE, related_name="deployments", db_index=False, db_constraint=False
    )
    device = models.ForeignKey(
        "fleet.Device", on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    wave = models.SmallIntegerField()  # from 1; 0 for skipped devices
    # Null only when skipped because no variant fits the device's hardware.
    variant = models.ForeignKey(
        "models_registry.Variant",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        db_index=False,
        db_constraint=False,
    )
    # What the device ran when it was planned, and where a rollback returns it; null for a first model.
    previous_variant = models.ForeignKey(
        "models_registry.Variant",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        db_index=False,
        db_constraint=False,
    )
    state = models.CharField(max_length=16, choices=DeploymentState.choices, default=DeploymentState.PLANNED)
    state_at = models.DateTimeField()
    reason_code = models.CharField(max_length=64, blank=True)
    evidence = models.CharField(max_length=16, blank=True)  # fleet.models.Evidence
    attempt = models.SmallIntegerField(default=0)
    # When the clock has something to do: the next attempt, or asking again what the device runs.
    retry_at = models.DateTimeField(null=True)
    installed_at = models.DateTimeField(null=True)  # the switch: splits a device's history into before and after
    proven_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            # The device first: its deployments are looked up at every poll that is not answered from memory.
            models.UniqueConstraint(fields=["device", "rollout"], name="deployment_once_per_device"),
        ]
        indexes: ClassVar = [
            # Counts per wave and state, and the reconciler's batches.
            models.Index(fields=["rollout", "state", "wave"], name="deployment_counts"),
            # What a clock may move on: few rows at a time, and planning a million devices costs it nothing.
            models.Index(fields=["retry_at"], name="deployment_due", condition=models.Q(retry_at__isnull=False)),
            models.Index(
                fields=["state_at"],
                name="deployment_in_motion",
                condition=models.Q(state__in=["downloading", "verifying", "installing"]),
            ),
        ]


class ActionKind(models.TextChoices):
    """What an action asks of a device."""

    INSTALL = "install"
    CANCEL = "cancel"
    RESTORE = "restore"


class ActionState(models.TextChoices):
    """Life of an action: ``open -> cancelling -> closed``, or ``open -> closed``."""

    OPEN = "open"
    CANCELLING = "cancelling"
    CLOSED = "closed"


class Action(models.Model):
    """What the wire sees of a deployment (hawkBit's action). One open action per device at a time."""

    device = models.ForeignKey("fleet.Device", on_delete=models.PROTECT, related_name="+", db_index=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="actions")
    number = models.IntegerField()  # per device, from 1; what DDI calls the action id
    kind = models.CharField(max_length=16, choices=ActionKind.choices)
    # Null asks for a removal: what a restore of a device's first model comes to.
    variant = models.ForeignKey(
        "models_registry.Variant", on_delete=models.PROTECT, related_name="+", null=True, db_index=False
    )
    payload_digest = models.CharField(max_length=64, blank=True)  # SHA-256 hex of the file to run
    state = models.CharField(max_length=16, choices=ActionState.choices, default=ActionState.OPEN)
    weight = models.SmallIntegerField(default=500)  # 0 to 1000, hawkBit's scale
    result = models.CharField(max_length=16, blank=True)  # success | failure | cancelled
    created_at = models.DateTimeField()
    retrieved_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["device", "number"], name="action_number_once"),
            models.UniqueConstraint(
                fields=["device"], condition=~models.Q(state="closed"), name="action_one_open_per_device"
            ),
        ]


class ActionFeedback(models.Model):
    """A feedback message of a device, as it came."""

    action = models.ForeignKey(Action, on_delete=models.CASCADE, related_name="feedback")
    at = models.DateTimeField()
    execution = models.CharField(max_length=16)
    finished = models.CharField(max_length=16)
    details = models.JSONField(default=list)
