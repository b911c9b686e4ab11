"""What the fleet shows. Everything is scoped to the caller's organization here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from common.clock import now
from fleet.errors import DeviceNotFoundError
from fleet.models import (
    Device,
    DeviceEvent,
    DeviceState,
    EnrolmentToken,
    HardwareProfile,
    InstalledModel,
    Region,
    Site,
)
from fleet.policy.contact import online_since
from fleet.types import DeviceRef, LatestValues
from governance.names import names_for
from governance.types import Caller

IN_SERVICE = (DeviceState.PENDING, DeviceState.ACCEPTED, DeviceState.QUARANTINED)
"""Devices that count in totals; rejected and decommissioned ones are history."""


@dataclass(frozen=True)
class DeviceFilter:
    """Which devices. Empty tuples and None do not restrict; names that do not exist match nothing."""

    state: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    site: tuple[str, ...] = ()
    hardware_profile: tuple[str, ...] = ()
    is_online: bool | None = None
    model: str = ""  # runs this model
    version: str = ""  # runs this version (of ``model``, when that is given)
    label: Mapping[str, str] = field(default_factory=dict)
    search: str = ""  # part of name or controller_id, case does not matter


def devices(*, caller: Caller) -> QuerySet[Device]:
    """The organization's devices with what a list shows of them: three queries, however many devices."""
    return (
        Device.objects.filter(organization_id=caller.organization_id)
        .select_related("hardware_profile", "site", "region")
        .prefetch_related("installed_models")
        .defer("certificate_pem", "public_key")
    )


def devices_list(*, caller: Caller, filters: DeviceFilter) -> QuerySet[Device]:
    """The organization's devices that match ``filters``."""
    return devices_filter(devices(caller=caller), filters)


def devices_filter(queryset: QuerySet[Device], filters: DeviceFilter) -> QuerySet[Device]:
    """``queryset`` narrowed to ``filters``."""
    conditions = Q()
    for name, path in _NAMED.items():
        values: tuple[str, ...] = getattr(filters, name)
        if values:
            conditions &= Q(**{f"{path}__in": values})
    if filters.label:
        conditions &= Q(labels__contains=dict(filters.label))
    if filters.search:
        conditions &= Q(name__icontains=filters.search) | Q(controller_id__icontains=filters.search)
    if filters.model or filters.version:
        installed = InstalledModel.objects.filter(device=OuterRef("pk"))
        if filters.model:
            installed = installed.filter(model_name=filters.model)
        if filters.version:
            installed = installed.filter(version=filters.version)
        conditions &= Q(Exists(installed))
    queryset = queryset.filter(conditions)
    if filters.is_online is None:
        return queryset
    online = Q(last_seen_at__gte=online_since(now(), settings.DEVICE_POLL_INTERVAL_S))
    return queryset.filter(online) if filters.is_online else queryset.exclude(online)


_NAMED = {
    "state": "state",
    "region": "region__name",
    "site": "site__name",
    "hardware_profile": "hardware_profile__name",
}


def device_for(*, caller: Caller, device_id: UUID) -> Device:
    """One device of the caller's organization.

    Raises:
        DeviceNotFoundError: there is none of that id, or it is another organization's.
    """
    device = devices(caller=caller).filter(public_id=device_id).first()
    if device is None:
        raise DeviceNotFoundError("There is no such device.")
    return device


def device_ref(*, caller: Caller, device_id: UUID) -> DeviceRef:
    """One device of the caller's organization as a value.

    Raises:
        DeviceNotFoundError: there is none of that id, or it is another organization's.
    """
    refs = _refs(Device.objects.filter(organization_id=caller.organization_id, public_id=device_id))
    if not refs:
        raise DeviceNotFoundError("There is no such device.")
    return refs[0]


def device_refs(*, organization_id: int, device_ids: Collection[int]) -> dict[int, DeviceRef]:
    """Devices of one organization by number; unknown numbers are left out. One query."""
    rows = _refs(Device.objects.filter(organization_id=organization_id, pk__in=device_ids))
    return {ref.id: ref for ref in rows}


def _refs(queryset: QuerySet[Device]) -> list[DeviceRef]:
    rows = queryset.values_list(
        "pk",
        "public_id",
        "organization_id",
        "controller_id",
        "name",
        "state",
        "hardware_profile__name",
        "site__name",
        "region__name",
    )
    return [DeviceRef(*row) for row in rows]


def device_public_key(*, organization_id: int, device_id: int) -> bytes | None:
    """SubjectPublicKeyInfo (DER) of a device's P-256 key; None when it has none."""
    key = (
        Device.objects.filter(organization_id=organization_id, pk=device_id)
        .values_list("public_key", flat=True)
        .first()
    )
    return bytes(key) if key is not None else None


def device_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of devices by public id."""
    rows = Device.objects.filter(organization_id=organization_id, public_id__in=ids)
    return dict(rows.values_list("public_id", "name"))


def enrolment_token_names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of enrolment tokens by public id; the visible prefix where none was given."""
    rows = EnrolmentToken.objects.filter(organization_id=organization_id, public_id__in=ids)
    return {public_id: name or prefix for public_id, name, prefix in rows.values_list("public_id", "name", "prefix")}


def place_names(model: type[Site | Region | HardwareProfile]) -> Callable[[int, Collection[UUID]], dict[UUID, str]]:
    """A resolver of names for sites, regions or hardware profiles."""

    def names(organization_id: int, ids: Collection[UUID]) -> dict[UUID, str]:
        rows = model.objects.filter(organization_id=organization_id, public_id__in=ids)
        return dict(rows.values_list("public_id", "name"))

    return names


# --- The newest telemetry, which another app keeps ------------------------------------------------
LatestProvider = Callable[[Collection[int]], Mapping[int, LatestValues]]
"""Newest values by device number, in one query; devices without any are left out."""

_latest_provider: list[LatestProvider] = []


def register_latest_provider(provider: LatestProvider) -> None:
    """Say where the newest telemetry of devices comes from; telemetry does, when the process starts."""
    _latest_provider[:] = [provider]


def latest_values(device_ids: Collection[int]) -> Mapping[int, LatestValues]:
    """Newest telemetry by device number; devices that never sent any are left out."""
    return _latest_provider[0](device_ids) if _latest_provider and device_ids else {}


# --- Timeline -------------------------------------------------------------------------------------
def device_events(*, caller: Caller, device_id: UUID) -> QuerySet[DeviceEvent]:
    """A device's timeline.

    Raises:
        DeviceNotFoundError: no such device in the caller's organization.
    """
    return DeviceEvent.objects.filter(device_id=device_ref(caller=caller, device_id=device_id).id)


def event_reference_names(*, caller: Caller, events: Iterable[DeviceEvent]) -> dict[tuple[str, str], str]:
    """Names of what the events are about, by ``(kind, id)``; one query per kind."""
    return names_for(caller.organization_id, {(event.reference_kind, str(event.reference_id)) for event in events})


def installed_counts(*, caller: Caller, model_names: Collection[str]) -> dict[tuple[str, str], int]:
    """Devices in service that run each model, per (model name, evidence); pairs without a device are left out."""
    rows = (
        InstalledModel.objects.filter(
            device__organization_id=caller.organization_id,
            device__state__in=IN_SERVICE,
            model_name__in=list(model_names),
        )
        .values_list("model_name", "evidence")
        .annotate(count=Count("id"))
    )
    return {(name, evidence): count for name, evidence, count in rows}


# --- Enrolment and places -------------------------------------------------------------------------
def enrolment_tokens(*, caller: Caller) -> QuerySet[EnrolmentToken]:
    """The organization's enrolment tokens, with site and the device each let in."""
    return EnrolmentToken.objects.filter(organization_id=caller.organization_id).select_related(
        "site__region", "used_by"
    )


def sites(*, caller: Caller) -> QuerySet[Site]:
    """The organization's sites with their regions."""
    return Site.objects.filter(organization_id=caller.organization_id).select_related("region")


def regions(*, caller: Caller) -> QuerySet[Region]:
    """The organization's regions."""
    return Region.objects.filter(organization_id=caller.organization_id)


def hardware_profiles(*, caller: Caller) -> QuerySet[HardwareProfile]:
    """The organization's hardware profiles."""
    return HardwareProfile.objects.filter(organization_id=caller.organization_id)


def state_of_token(token: EnrolmentToken) -> str:
    """``active``, ``used``, ``expired`` or ``revoked``."""
    if token.used_at is not None:
        return "used"
    if token.revoked_at is not None:
        return "revoked"
    return "active" if token.expires_at > now() else "expired"
