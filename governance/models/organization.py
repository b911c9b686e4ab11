"""Organizations and who belongs to them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower

from common.ids import uuid7


class Role(models.TextChoices):
    """What a member may do; each includes the one before."""

    VIEWER = "viewer"  # reads everything of the organization
    OPERATOR = "operator"  # also enrols devices, publishes models, runs rollouts
    ADMINISTRATOR = "administrator"  # also approves, manages people, tokens and keys


class Organization(models.Model):
    """A customer: the wall nothing crosses. ``slug`` is the tenant in device URLs, whose case does not matter."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=128)
    # The number of the last audit entry; taken under this row's lock, so that numbers have no gaps.
    audit_number = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            # Devices may write the tenant in any case; stored in lower case, a lookup is a plain equality.
            models.CheckConstraint(condition=models.Q(slug=Lower("slug")), name="organization_slug_lower"),
        ]


class Membership(models.Model):
    """A person's role in an organization."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once"),
        ]
