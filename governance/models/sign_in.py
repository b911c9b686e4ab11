"""What holds back the guessing of passwords."""

from __future__ import annotations

from django.db import models


class SignInBudget(models.Model):
    """Sign-in attempts from one address or for one user name within a window; old rows are removed.

    Kept in the database and not in a process, so that more web replicas do not mean more guesses. ``key`` is
    a digest: neither what people type as a name (now and then a password) nor addresses are stored.
    """

    key = models.BinaryField(max_length=32, unique=True)
    attempts = models.PositiveIntegerField()
    window_ends_at = models.DateTimeField(db_index=True)
