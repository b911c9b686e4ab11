"""Who was heard of, and who is silent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from common.clock import now
from fleet import events
from fleet.policy.contact import online_since
from fleet.policy.lifecycle import MAY_CONNECT
from fleet.services.events import device_events_append
from fleet.types import EventRecord

_BATCH = 5_000

# A row somebody else holds is skipped: its device polls again within seconds, and waiting would hold up all others.
_SEEN = """
WITH was AS (
    SELECT id, contact_lost_at IS NOT NULL AS was_lost FROM fleet_device WHERE id = ANY(%(ids)s)
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE fleet_device d SET last_seen_at = greatest(d.last_seen_at, %(at)s), contact_lost_at = NULL
FROM was WHERE d.id = was.id
RETURNING d.id, d.public_id, d.organization_id, d.state, d.last_seen_at, was.was_lost
"""
_LOST = """
WITH silent AS (
    SELECT id FROM fleet_device
    WHERE contact_lost_at IS NULL AND last_seen_at < %(online_since)s AND state = ANY(%(states)s)
    ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE fleet_device d SET contact_lost_at = %(at)s FROM silent WHERE d.id = silent.id
RETURNING d.id, d.public_id, d.organization_id, d.state, d.last_seen_at
"""

_Row = tuple[int, UUID, int, str, datetime]


def devices_seen_record(*, device_ids: Sequence[int], at: datetime | None = None) -> int:
    """Write when these devices were last heard of, in one UPDATE per 5,000.

    A device whose contact was lost gets ``contact.back`` on its timeline, and browsers are told.

    Args:
        device_ids: numbers of devices.
        at: when; None for now. An earlier time than is known changes nothing.

    Returns:
        How many of them were back.
    """
    at = at or now()
    ordered = sorted(set(device_ids))
    back: list[_Row] = []
    for start in range(0, len(ordered), _BATCH):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_SEEN, {"ids": ordered[start : start + _BATCH], "at": at})
            rows = [row[:5] for row in cursor.fetchall() if row[5]]
            _tell(rows, kind=events.CONTACT_BACK, at=at, is_online=True)
        back += rows
    return len(back)


def devices_lost_detect() -> int:
    """Note the devices that have fallen silent since the last look. Returns how many.

    Each gets ``contact.lost`` on its timeline once, and browsers are told.
    """
    at = now()
    values: dict[str, Any] = {
        "online_since": online_since(at, settings.DEVICE_POLL_INTERVAL_S),
        "states": sorted(state.value for state in MAY_CONNECT),
        "limit": _BATCH,
        "at": at,
    }
    total = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_LOST, values)
            rows = cursor.fetchall()
            _tell(rows, kind=events.CONTACT_LOST, at=at, is_online=False)
        total += len(rows)
        if len(rows) < _BATCH:
            return total


def _tell(rows: Sequence[_Row], *, kind: str, at: datetime, is_online: bool) -> None:
    device_events_append(
        records=[EventRecord(device_id=row[0], kind=kind, at=at) for row in rows],
    )
    for _, public_id, organization_id, state, last_seen_at in rows:
        events.publish_device_changed(
            organization_id=organization_id,
            public_id=public_id,
            state=state,
            is_online=is_online,
            last_seen_at=last_seen_at,
        )
