"""Bytes: what they are, where they lie, and how they arrive."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from common.ids import uuid7


class Artifact(models.Model):
    """Immutable bytes, named by their SHA-256. Written once, never changed."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)  # hex
    sha1 = models.CharField(max_length=40)  # hex; DDI clients verify nothing else
    md5 = models.CharField(max_length=32, blank=True)  # hex
    size_bytes = models.BigIntegerField()
    media_type = models.CharField(max_length=128, default="application/octet-stream")
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "sha256"], name="artifact_digest_once"),
        ]


class Replica(models.Model):
    """One copy of an artifact in one store."""

    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="replicas")
    store = models.CharField(max_length=64)  # a name from ARTIFACT_STORES
    key = models.CharField(max_length=256)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["artifact", "store"], name="replica_once_per_store"),
        ]


class UploadState(models.TextChoices):
    """Life of an upload: ``open -> complete | expired``."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class Upload(models.Model):
    """A tus upload: bytes on their way in."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    filename = models.CharField(max_length=256)
    length_bytes = models.BigIntegerField()
    # Bytes that were forced to disk before this row was written; what the file holds beyond them does not count.
    offset_bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)  # hex, if the client announced it
    state = models.CharField(max_length=16, choices=UploadState.choices, default=UploadState.OPEN)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        # Counted at each creation and swept by age; finished uploads are not looked for this way.
        indexes: ClassVar = [
            models.Index(fields=["organization"], name="upload_open", condition=models.Q(state="open")),
            models.Index(fields=["expires_at"], name="upload_expiry"),
        ]
