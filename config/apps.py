"""App configuration."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Makes the Celery application current in every Django process, so that nudges reach our broker."""

    name = "config"

    def ready(self) -> None:
        """Import it once all apps are loaded; their tasks are found then."""
        import_module("config.celery")
