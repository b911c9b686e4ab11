"""App configuration."""

from django.apps import AppConfig


class CommonConfig(AppConfig):
    """The kernel; its only table is ``Job``."""

    name = "common"
