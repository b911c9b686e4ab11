"""``manage.py rotate_trust_key``: replace a signing key of an organization."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.errors import DomainError
from governance.selectors import organization_id_by_slug
from models_registry.services.trust import ROLES, trust_rotate


class Command(BaseCommand):
    """See ``models_registry.services.trust.trust_rotate``."""

    help = "Give a role of an organization's image repository a new key. Devices follow by themselves."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose key."""
        parser.add_argument("--organization", required=True, help="slug: the tenant in device URLs")
        parser.add_argument("--role", required=True, choices=ROLES)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Rotate."""
        try:
            organization_id = organization_id_by_slug(options["organization"])
            trust_rotate(organization_id=organization_id, role=options["role"])
        except DomainError as error:
            raise CommandError(error.text) from error
        self.stdout.write(f"{options['organization']}: {options['role']} has a new key")
