"""People."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from common.ids import uuid7


class User(AbstractUser):
    """A person. What they may do hangs on their memberships, not on Django's permissions."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
