"""``manage.py flotilla_device_authorities``: the certificates a TLS proxy checks devices against."""

from __future__ import annotations

import contextlib
import os
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.services.authority_bundle import device_authority_bundle

_READABLE = 0o644  # certificates are public, and the proxy runs as another user


class Command(BaseCommand):
    """Writes one PEM file, whole or not at all."""

    help = (
        "Write the device authorities' certificates of all organizations into one PEM file, for the proxy that asks "
        "devices for their certificates. Run it again, and reload the proxy, after an organization was added."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to."""
        parser.add_argument("--output", required=True, type=Path, help="the PEM file")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write the file beside its place, then move it there."""
        bundle = device_authority_bundle()
        if not bundle:
            raise CommandError("There is no organization yet. Make one first: manage.py flotilla_init --help")
        output: Path = options["output"]
        try:
            self._write(output, bundle)
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}") from error
        self.stdout.write(f"{bundle.count('BEGIN CERTIFICATE')} certificates in {output}")

    def _write(self, output: Path, bundle: str) -> None:
        descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(bundle)
                os.fchmod(file.fileno(), _READABLE)
            Path(name).replace(output)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
