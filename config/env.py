"""All reading of the environment happens here.

Every reader takes the variable's name, refuses values it cannot understand with a message that names the
variable, and never invents a secret. A variable ``NAME`` may be given as ``NAME_FILE`` instead: the path
of a file that holds the value (Docker and Kubernetes secrets).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit


class EnvironmentValueError(RuntimeError):
    """A variable is missing or its value cannot be used; start-up stops with this text."""


@dataclass(frozen=True)
class Environment:
    """Typed access to environment variables.

    Args:
        values: the variables, usually ``os.environ``.
    """

    values: Mapping[str, str]

    def text(self, name: str, default: str | None = None) -> str:
        """The variable's text, from ``NAME`` or the file named by ``NAME_FILE``.

        Raises:
            EnvironmentValueError: both are set, the file cannot be read, or neither is set and there is no default.
        """
        direct = self.values.get(name)
        path = self.values.get(f"{name}_FILE")
        if direct is not None and path is not None:
            raise EnvironmentValueError(f"{name} and {name}_FILE are both set; keep one of them")
        if path is not None:
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise EnvironmentValueError(f"{name}_FILE={path!r} cannot be read: {error.strerror}") from error
        if direct is not None:
            return direct
        if default is None:
            raise EnvironmentValueError(f"{name} is not set; it has no default")
        return default

    def secret(self, name: str, *, minimum_length: int = 32) -> str:
        """A secret text of at least ``minimum_length`` characters. There is never a default."""
        value = self.text(name)
        if len(value) < minimum_length:
            raise EnvironmentValueError(f"{name} has {len(value)} characters; at least {minimum_length} are required")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean: exactly ``1``/``true``/``yes``/``on`` or ``0``/``false``/``no``/``off``."""
        value = self.text(name, "true" if default else "false").lower()
        if value in {"1", "true", "yes", "on"}:
            return True
        if value in {"0", "false", "no", "off"}:
            return False
        raise EnvironmentValueError(f"{name}={value!r} is neither true nor false")

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """A whole number within ``minimum`` and ``maximum``, both included."""
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError as error:
            raise EnvironmentValueError(f"{name}={value!r} is not a whole number") from error
        if not minimum <= number <= maximum:
            raise EnvironmentValueError(f"{name}={number} is outside {minimum} to {maximum}")
        return number

    def directory(self, name: str) -> Path:
        """An absolute path of an existing directory."""
        path = Path(self.text(name))
        if not path.is_absolute() or not path.is_dir():
            raise EnvironmentValueError(f"{name}={str(path)!r} is not an existing directory with an absolute path")
        return path

    def url(self, name: str, default: str | None = None, *, schemes: tuple[str, ...] = ("http", "https")) -> str:
        """An absolute URL without a trailing slash."""
        value = self.text(name, default).rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.netloc:
            raise EnvironmentValueError(f"{name}={value!r} is not an absolute URL with scheme {' or '.join(schemes)}")
        return value

    def names(self, name: str, default: str = "") -> list[str]:
        """A comma separated list, blanks dropped."""
        return [item.strip() for item in self.text(name, default).split(",") if item.strip()]


@dataclass(frozen=True)
class DatabaseAddress:
    """A PostgreSQL address, split for Django and for psycopg."""

    host: str
    port: str
    name: str
    user: str
    password: str
    options: dict[str, str]

    @property
    def conninfo(self) -> dict[str, str]:
        """Keyword arguments of ``psycopg.connect``; empty parts are left out."""
        parts = {
            "host": self.host,
            "port": self.port,
            "dbname": self.name,
            "user": self.user,
            "password": self.password,
            **self.options,
        }
        return {key: value for key, value in parts.items() if value}


def database_address(url: str, name: str = "DATABASE_URL") -> DatabaseAddress:
    """Parse ``postgresql://user:password@host:port/name?host=/socket/folder``.

    A ``host`` in the query wins over the address's: libpq's form for Unix sockets.

    Raises:
        EnvironmentValueError: another scheme, or no database name.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise EnvironmentValueError(f"{name} must start with postgresql://")
    database = unquote(parts.path.lstrip("/"))
    if not database:
        raise EnvironmentValueError(f"{name} names no database")
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", unquote(parts.hostname or ""))
    return DatabaseAddress(
        host=host,
        port=options.pop("port", str(parts.port or "")),
        name=database,
        user=unquote(parts.username or options.pop("user", "")),
        password=unquote(parts.password or options.pop("password", "")),
        options=options,
    )


STORE_SCHEMES = ("local", "s3", "gs", "azure")


@dataclass(frozen=True)
class StoreAddress:
    """One entry of ``ARTIFACT_STORES``: ``name=scheme://location?option=value``.

    ``secret`` is its credential, from ``ARTIFACT_STORE_<NAME>_SECRET``; what it holds depends on the scheme
    (``docs/operators/storage.md``).
    """

    name: str
    scheme: str
    location: str
    options: dict[str, str]
    secret: str = field(default="", repr=False)


def store_addresses(
    entries: list[str], name: str = "ARTIFACT_STORES", *, secret: Callable[[str], str] = lambda _store: ""
) -> list[StoreAddress]:
    """Parse the artifact stores; the first is where new artifacts are written.

    Args:
        entries: the list's items.
        name: the variable, for messages.
        secret: the credential of the store of that name, or an empty text.

    Raises:
        EnvironmentValueError: none given, a name used twice, an unknown scheme, or an empty location.
    """
    stores: list[StoreAddress] = []
    for entry in entries:
        label, separator, url = entry.partition("=")
        if not separator or not label.isidentifier():
            raise EnvironmentValueError(f"{name}: {entry!r} is not name=scheme://location")
        parts = urlsplit(url)
        if parts.scheme not in STORE_SCHEMES:
            raise EnvironmentValueError(
                f"{name}: {entry!r} has scheme {parts.scheme!r}; known: {', '.join(STORE_SCHEMES)}"
            )
        location = unquote(parts.netloc + parts.path)
        if not location.strip("/"):
            raise EnvironmentValueError(f"{name}: {entry!r} names no bucket, container or folder")
        if label in {store.name for store in stores}:
            raise EnvironmentValueError(f"{name}: the store name {label!r} is used twice")
        stores.append(
            StoreAddress(
                name=label,
                scheme=parts.scheme,
                location=location,
                options=dict(parse_qsl(parts.query)),
                secret=secret(label),
            )
        )
    if not stores:
        raise EnvironmentValueError(f"{name} names no store")
    return stores


env = Environment(os.environ)
