"""The kernel's one table."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from common.ids import uuid7


class JobState(models.TextChoices):
    """Life of a job: ``queued -> running -> done | failed | cancelled``."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(models.Model):
    """A piece of background work that survives the death of any process.

    A worker claims a row by conditional UPDATE and holds a lease; who loses the lease loses the job.
    ``organization_id`` is a bare number because the kernel knows no other app.
    """

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization_id = models.BigIntegerField(db_index=True)
    kind = models.CharField(max_length=64)  # registered name, for example "models_registry.validate"
    subject_kind = models.CharField(max_length=32, blank=True)
    subject_id = models.UUIDField(null=True)
    arguments = models.JSONField(default=dict)
    queue = models.CharField(max_length=32, default="default")
    state = models.CharField(max_length=16, choices=JobState.choices, default=JobState.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    run_after = models.DateTimeField()
    worker = models.CharField(max_length=128, blank=True)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    progress_ratio = models.FloatField(default=0.0)  # 0 to 1
    progress_text = models.CharField(max_length=200, blank=True)
    result = models.JSONField(null=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_text = models.TextField(blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            # Only unfinished jobs are ever searched by due time; the finished ones would bloat the index.
            models.Index(
                fields=["queue", "run_after"],
                name="job_due",
                condition=models.Q(state__in=["queued", "running"]),
            ),
            models.Index(fields=["organization_id", "-id"], name="job_listing"),
        ]
