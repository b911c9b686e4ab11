"""``manage.py flotilla_init``: the first organization, administrator and API token."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.errors import DomainError
from governance.services.installation import installation_init


class Command(BaseCommand):
    """Prints one line of JSON: ``{organization, username, password, api_token}``."""

    help = (
        "Make an organization with an administrator and an API token, as far as they are missing, and print one "
        "line of JSON. Secrets are printed when they are made and never again; what existed before is null."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The names, and whether to replace lost secrets."""
        parser.add_argument("--organization", required=True, help="slug: the tenant in device URLs")
        parser.add_argument("--name", default="", help="the organization's name; the slug when left out")
        parser.add_argument("--username", required=True, help="the administrator's user name")
        parser.add_argument("--renew", action="store_true", help="replace the password and the token")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Make what is missing."""
        try:
            made = installation_init(
                slug=options["organization"],
                name=options["name"] or options["organization"],
                username=options["username"],
                renew=options["renew"],
            )
        except DomainError as error:
            details = " ".join(f"{name}: {text}" for name, text in error.fields.items())
            raise CommandError(f"{error.text} {details}".strip()) from error
        self.stdout.write(json.dumps(asdict(made)))
