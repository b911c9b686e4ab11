"""Revisions: what makes a device's next poll worth answering."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from fleet.events import notify_revisions

# Locks in the order of ids, so that two bumps of overlapping devices cannot wait for each other.
_BUMP = """
WITH locked AS (SELECT id FROM fleet_device WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE)
UPDATE fleet_device d SET revision = d.revision + 1 FROM locked WHERE d.id = locked.id
RETURNING d.id, d.revision
"""


def device_revisions_bump(*, device_ids: Sequence[int]) -> None:
    """Say that what these devices would be told at their next poll may have changed.

    Inside the transaction of the change; gateways hear of it once that has committed.
    """
    if not device_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(_BUMP, [list(device_ids)])
        notify_revisions(cursor.fetchall())
