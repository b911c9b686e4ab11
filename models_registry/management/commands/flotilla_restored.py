"""``manage.py flotilla_restored``: what is left to do after the database was restored from a backup."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from models_registry.services.trust import trust_sign_anew, trusted_organizations


class Command(BaseCommand):
    """See ``models_registry.services.trust.trust_sign_anew``."""

    help = (
        "Sign every organization's metadata again, newer than any before. Run it once after a restore: devices that "
        "have seen what was signed after the backup refuse anything older."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Sign."""
        organizations = trusted_organizations()
        for organization_id in organizations:
            trust_sign_anew(organization_id=organization_id)
        self.stdout.write(f"organizations whose metadata was signed anew: {len(organizations)}")
