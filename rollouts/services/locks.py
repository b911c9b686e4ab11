"""The order in which rows are locked, here once: rollout, then devices by id, then their deployments and actions.

Whoever holds a device's row may change its deployments and actions; nobody changes them without. So two polls at once,
a poll and the reconciler, or two reconcilers wait for each other and never in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from fleet.models import Device
from rollouts.models import Rollout

_LOCK_FREE = "SELECT id FROM fleet_device WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"


def rollout_lock(rollout_id: int, *, is_patient: bool) -> Rollout | None:
    """The rollout's row, held until the transaction ends.

    Args:
        rollout_id: its number.
        is_patient: wait for another holder; else answer None when there is one (the reconciler comes again).
    """
    query = Rollout.objects.select_for_update(skip_locked=not is_patient, no_key=True, of=("self",))
    return query.select_related("version__model").filter(pk=rollout_id).first()


def device_lock(device_id: int, organization_id: int) -> Device | None:
    """A device's row, held until the transaction ends; None when the organization has no such device."""
    return Device.objects.select_for_update(no_key=True).filter(pk=device_id, organization_id=organization_id).first()


def devices_lock_free(device_ids: Sequence[int]) -> list[int]:
    """Those of the devices nobody else holds, now held by us. For batches: the rest is found by the next pass."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_FREE, [list(device_ids)])
        return [row[0] for row in cursor.fetchall()]
