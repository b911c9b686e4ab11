"""API tokens."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from common.ids import uuid7
from governance.models.organization import Organization, Role


class ApiToken(models.Model):
    """A bearer token of an integration.

    Only its SHA-256 is stored: it has 256 random bits, so no slow hash is needed.
    """

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    name = models.CharField(max_length=128)
    role = models.CharField(max_length=16, choices=Role.choices)
    token_hash = models.BinaryField(max_length=32, unique=True)
    prefix = models.CharField(max_length=12)  # shown in lists, so that people can tell tokens apart
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
