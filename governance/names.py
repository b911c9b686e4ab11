"""Names for opaque ids that belong to other apps.

The audit log, jobs and timelines keep ``(kind, id)`` only, so that names can change or be erased. Each app registers
how its kinds are called when the process starts; what nobody knows any more has no name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from uuid import UUID

NameResolver = Callable[[int, Collection[UUID]], Mapping[UUID, str]]
"""``(organization_id, public ids) -> name per id``; ids of other organizations are left out."""

_resolvers: dict[str, NameResolver] = {}


def register_names(kind: str, resolver: NameResolver) -> None:
    """Say how things of ``kind`` are called. Call from ``AppConfig.ready``."""
    _resolvers[kind] = resolver


def names_for(organization_id: int, references: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Names of ``(kind, public id)`` pairs, with one query per kind that occurs.

    Pairs whose kind, id or organization is unknown are left out.
    """
    by_kind: dict[str, dict[UUID, str]] = {}
    for kind, text in references:
        if kind not in _resolvers:
            continue
        try:
            by_kind.setdefault(kind, {})[UUID(text)] = text
        except ValueError:
            continue
    names: dict[tuple[str, str], str] = {}
    for kind, ids in by_kind.items():
        for public_id, name in _resolvers[kind](organization_id, ids.keys()).items():
            names[kind, ids[public_id]] = name
    return names
