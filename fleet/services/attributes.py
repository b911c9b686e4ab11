"""What a device says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from django.db import transaction

from fleet.errors import DeviceNotFoundError
from fleet.events import ATTRIBUTES_CHANGED
from fleet.models import Device
from fleet.policy.texts import texts_check
from fleet.services.events import device_event_append
from fleet.services.revisions import device_revisions_bump

Mode = Literal["merge", "replace", "remove"]


def device_attributes_update(
    *, organization_id: int, device_id: int, values: Mapping[str, Any], mode: Mode = "merge"
) -> dict[str, str]:
    """Take a device's attributes (DDI ``configData``). Idempotent.

    Args:
        organization_id: the device's organization.
        device_id: the device's number.
        values: at most 100 names and values of at most 128 characters each. For ``remove`` the values do not count.
        mode: ``merge`` adds and overwrites, ``replace`` keeps nothing else, ``remove`` takes the names away.

    Returns:
        The device's attributes from now on.

    Raises:
        InvalidInputError: the values break a bound, or there would be more than 100 attributes.
        DeviceNotFoundError: no such device.
    """
    given = texts_check(values, field="attributes")
    with transaction.atomic():
        device = (
            Device.objects.select_for_update(no_key=True)
            .filter(organization_id=organization_id, pk=device_id)
            .only("attributes", "attributes_wanted")
            .first()
        )
        if device is None:
            raise DeviceNotFoundError("There is no such device.")
        before: dict[str, str] = device.attributes
        if mode == "merge":
            after = {**before, **given}
        elif mode == "replace":
            after = given
        else:
            after = {name: value for name, value in before.items() if name not in given}
        texts_check(after, field="attributes")
        if after != before or device.attributes_wanted:
            Device.objects.filter(pk=device_id).update(attributes=after, attributes_wanted=False)
            # The poll stops asking for attributes.
            device_revisions_bump(device_ids=[device_id])
        if after != before:
            changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
            device_event_append(device_id=device_id, kind=ATTRIBUTES_CHANGED, data={"names": changed})
    return after
