"""System checks of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from models_registry.errors import StoreConfigurationError
from models_registry.storage.registry import store_named


@register()
def stores_can_be_opened(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """``models_registry.E001``: an entry of ``ARTIFACT_STORES`` cannot be used."""
    problems: list[CheckMessage] = []
    for address in settings.ARTIFACT_STORES:
        try:
            store_named(address.name)
        except StoreConfigurationError as error:
            problems.append(Error(str(error), id="models_registry.E001"))
    return problems


@register(Tags.security, deploy=True)
def stores_survive_the_machine(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """``models_registry.W001``: every copy of every model lies on this one machine."""
    if any(address.scheme != "local" for address in settings.ARTIFACT_STORES):
        return []
    return [
        checks.Warning(
            "Every artifact store is a folder of this machine: its disk is the only copy of every model.",
            hint="Back the folder up, or add an object store to ARTIFACT_STORES (docs/operators/storage.md).",
            id="models_registry.W001",
        )
    ]
