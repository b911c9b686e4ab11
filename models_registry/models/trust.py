"""Keys and signed metadata of the image repository (TUF)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class SigningKey(models.Model):
    """A key the server signs with (``online-key`` mode). The private half is a file in ``KEYS_DIR``."""

    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=32)  # root | targets | snapshot | timestamp
    key_id = models.CharField(max_length=64)  # TUF key id, hex
    public = models.JSONField()  # securesystemslib's form
    key_name = models.CharField(max_length=128)  # file name inside KEYS_DIR
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "role", "key_id"], name="signing_key_once"),
            models.UniqueConstraint(
                fields=["organization", "role"],
                condition=models.Q(retired_at=None),
                name="signing_key_one_in_use",
            ),
        ]


class TrustMetadata(models.Model):
    """One signed TUF metadata file, exactly as devices get it."""

    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=32)
    version = models.IntegerField()
    content = models.BinaryField()
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "role", "version"], name="trust_metadata_once"),
        ]
