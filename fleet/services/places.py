"""Regions, sites and hardware profiles."""

from __future__ import annotations

import zoneinfo
from typing import Any, TypeVar

from django.db import IntegrityError, transaction

from common.clock import now
from common.errors import InvalidInputError
from fleet.errors import NameTakenError
from fleet.models import HardwareProfile, Region, Site
from flotilla_protocol.messages import Hardware
from governance.models import Role
from governance.services.audit import audit_write
from governance.types import Caller

M = TypeVar("M", Region, Site, HardwareProfile)


def region_create(*, caller: Caller, name: str) -> Region:
    """Make a region.

    Raises:
        NotPermittedError: the caller is no operator.
        NameTakenError: there is one of that name.
    """
    return _create(Region, "region", caller=caller, name=name)


def site_create(
    *,
    caller: Caller,
    name: str,
    region: str,
    latitude_deg: float | None = None,
    longitude_deg: float | None = None,
    timezone: str = "UTC",
) -> Site:
    """Make a site, and its region if there is none of that name yet.

    Args:
        caller: an operator.
        name: unique in the organization.
        region: the region's name.
        latitude_deg: -90 to 90, WGS 84.
        longitude_deg: -180 to 180, WGS 84.
        timezone: an IANA name.

    Raises:
        NotPermittedError: the caller is no operator.
        InvalidInputError: there is no such time zone.
        NameTakenError: there is a site of that name.
    """
    if timezone not in zoneinfo.available_timezones():
        raise InvalidInputError("There is no such time zone.", fields={"timezone": "An IANA name, as Europe/Berlin."})
    caller.require(Role.OPERATOR)
    with transaction.atomic():
        return _create(
            Site,
            "site",
            caller=caller,
            name=name,
            region=_region_ensure(caller=caller, name=region),
            latitude_deg=latitude_deg,
            longitude_deg=longitude_deg,
            timezone=timezone,
        )


def site_ensure(*, caller: Caller, name: str, region: str) -> Site:
    """The site of that name; made in the region when there is none and a region is named.

    Raises:
        InvalidInputError: there is no such site and no region to make it in, or it lies in another region.
        NotPermittedError: the caller is no operator.
    """
    site = Site.objects.filter(organization_id=caller.organization_id, name=name).select_related("region").first()
    if site is not None:
        if region and site.region.name != region:
            raise InvalidInputError(
                f"The site {name} lies in the region {site.region.name}.",
                fields={"region": f"The site lies in {site.region.name}."},
            )
        return site
    if not region:
        raise InvalidInputError(
            f"There is no site {name}. Name its region, too, to make it.",
            fields={"region": "Needed for a new site."},
        )
    return site_create(caller=caller, name=name, region=region)


def hardware_profile_create(*, caller: Caller, name: str, **columns: Any) -> HardwareProfile:
    """Make a hardware profile.

    Raises:
        NotPermittedError: the caller is no operator.
        NameTakenError: there is one of that name.
    """
    return _create(HardwareProfile, "hardware_profile", caller=caller, name=name, **columns)


def hardware_profile_for(*, organization_id: int, hardware: Hardware) -> HardwareProfile:
    """The profile a device names; made from what it declares when it is the first of its kind. Idempotent.

    An existing profile is never changed by a device: one liar would change what fits a thousand others.
    """
    profile, _ = HardwareProfile.objects.get_or_create(
        organization_id=organization_id,
        name=hardware.profile,
        defaults={
            "architecture": hardware.architecture,
            "cpu": hardware.cpu,
            "cpu_count": hardware.cpu_count or None,
            "memory_bytes": hardware.memory_bytes or None,
            "accelerators": hardware.accelerators,
            "runtimes": hardware.runtimes,
            "created_at": now(),
        },
    )
    return profile


def _region_ensure(*, caller: Caller, name: str) -> Region:
    existing = Region.objects.filter(organization_id=caller.organization_id, name=name).first()
    return existing or region_create(caller=caller, name=name)


def _create(model: type[M], kind: str, *, caller: Caller, name: str, **columns: Any) -> M:
    caller.require(Role.OPERATOR)
    try:
        with transaction.atomic():
            made = model.objects.create(organization_id=caller.organization_id, name=name, created_at=now(), **columns)
            audit_write(
                organization_id=caller.organization_id,
                actor=caller.actor,
                action=f"{kind}.create",
                object_kind=kind,
                object_id=str(made.public_id),
                data={"name": name},
            )
    except IntegrityError as error:
        raise NameTakenError(
            f"There is a {kind.replace('_', ' ')} named {name} already.", fields={"name": "Taken."}
        ) from error
    return made
