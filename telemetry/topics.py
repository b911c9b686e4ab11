"""Who may follow which topic of the live socket.

A topic is a word everybody in the organization may follow, or ``<kind>:<public id>`` of something the caller may see.
Each app registers the kinds it owns when the process starts (``register_topic`` from ``AppConfig.ready``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from common.errors import NotFoundError
from fleet.selectors import device_ref
from governance.types import Caller

PLAIN_TOPICS = frozenset({"devices", "rollouts", "models", "drift", "alerts", "jobs"})

TopicResolver = Callable[[Caller, UUID], int | None]
"""Raises ``NotFoundError`` when the caller may not see the thing; answers a device number to watch, or None."""

_resolvers: dict[str, TopicResolver] = {}


@dataclass(frozen=True)
class AllowedTopic:
    """A topic the caller may follow. ``name`` is its one spelling; ``device_id`` the device whose values it carries."""

    name: str
    device_id: int | None = None


def register_topic(kind: str, resolver: TopicResolver) -> None:
    """Say how ``<kind>:<id>`` topics are authorized."""
    _resolvers[kind] = resolver


def topic_resolve(*, caller: Caller, topic: str) -> AllowedTopic | None:
    """The topic as the hub knows it, or None when there is none such for this caller. Reads the database."""
    if topic in PLAIN_TOPICS:
        return AllowedTopic(topic)
    kind, _, text = topic.partition(":")
    resolver = _resolvers.get(kind)
    if resolver is None:
        return None
    try:
        public_id = UUID(text)
        return AllowedTopic(f"{kind}:{public_id}", resolver(caller, public_id))
    except (ValueError, NotFoundError):
        return None


def device_topic(caller: Caller, device_id: UUID) -> int:
    """The resolver of ``device:<id>``."""
    return device_ref(caller=caller, device_id=device_id).id
