"""Which stores there are: ``settings.ARTIFACT_STORES``, each opened once per process and kept."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from django.conf import settings

from models_registry.errors import StoreConfigurationError
from models_registry.storage.base import Store

# One module per scheme, imported when a store needs it: each client library costs start-up time and memory.
ADAPTERS = {"local": "local", "s3": "s3", "gs": "gcs", "azure": "azure"}


class Address(Protocol):
    """An entry of ``ARTIFACT_STORES`` (``config.env.StoreAddress``)."""

    @property
    def name(self) -> str:
        """The store's label."""

    @property
    def scheme(self) -> str:
        """A key of ``ADAPTERS``."""

    @property
    def location(self) -> str:
        """Folder, bucket or container, and what else the scheme puts there."""

    @property
    def options(self) -> Mapping[str, str]:
        """From the query; an unknown one is refused."""

    @property
    def secret(self) -> str:
        """The credential, or an empty text."""


class _Adapter(Protocol):
    OPTIONS: frozenset[str]

    @staticmethod
    def store_at(address: Address) -> Store:
        """Open the store."""


_opened: dict[tuple[object, ...], Store] = {}


def store_open(address: Address) -> Store:
    """The store at ``address``, without asking it anything.

    Raises:
        StoreConfigurationError: an unknown scheme or option, or a missing part.
    """
    if address.scheme not in ADAPTERS:
        raise StoreConfigurationError(f"store {address.name!r}: unknown scheme {address.scheme!r}")
    adapter = cast("_Adapter", import_module(f"models_registry.storage.{ADAPTERS[address.scheme]}"))
    unknown = set(address.options) - adapter.OPTIONS
    if unknown:
        raise StoreConfigurationError(
            f"store {address.name!r}: unknown option {min(unknown)!r}; "
            f"known for {address.scheme}: {', '.join(sorted(adapter.OPTIONS)) or 'none'}"
        )
    return adapter.store_at(address)


def store_named(name: str) -> Store:
    """The configured store of that name.

    Raises:
        StoreConfigurationError: there is none; a replica names a store that was taken out of ``ARTIFACT_STORES``.
    """
    address = next((entry for entry in settings.ARTIFACT_STORES if entry.name == name), None)
    if address is None:
        raise StoreConfigurationError(f"no store {name!r} in ARTIFACT_STORES")
    options = tuple(sorted(address.options.items()))
    identity = (address.name, address.scheme, address.location, options, address.secret)
    if identity not in _opened:
        _opened[identity] = store_open(address)
    return _opened[identity]


def default_store() -> Store:
    """Where new artifacts are written: the first of ``ARTIFACT_STORES``."""
    return store_named(settings.ARTIFACT_STORES[0].name)


def stores_check() -> None:
    """Show that every configured store can be used; for ``/readyz``.

    Raises:
        StoreUnavailableError: names the first that cannot.
        StoreConfigurationError: an entry is wrong.
    """
    for address in settings.ARTIFACT_STORES:
        store_named(address.name).check()
