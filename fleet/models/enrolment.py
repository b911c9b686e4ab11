"""How devices come in and prove who they are."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from common.ids import uuid7
from fleet.models.device import Device
from fleet.models.place import Site


class EnrolmentToken(models.Model):
    """Lets one device in, once. Only its SHA-256 is stored. It never takes an existing identity over."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    organization = models.ForeignKey("governance.Organization", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=128, blank=True)
    token_hash = models.BinaryField(max_length=32, unique=True)
    prefix = models.CharField(max_length=12)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+", null=True)
    labels = models.JSONField(default=dict)  # given to the device it lets in
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_by = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="+", null=True)
    revoked_at = models.DateTimeField(null=True)


class UsedAssertion(models.Model):
    """A ``jti`` that has been seen; kept until the assertion would have expired anyway."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
    jti_hash = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField(db_index=True)


class DeviceAuthority(models.Model):
    """The certificate authority of an organization's devices. Its private key is a file in ``KEYS_DIR``."""

    organization = models.OneToOneField("governance.Organization", on_delete=models.PROTECT, related_name="+")
    certificate_pem = models.TextField()
    key_name = models.CharField(max_length=128)  # file name inside KEYS_DIR
    created_at = models.DateTimeField()
