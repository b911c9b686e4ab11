"""How a device joins.

A token creates an identity and never takes one over. Everything happens in one transaction: either there is a device
with its certificate and a spent token, or nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import IntegrityError, transaction
from django.db.models import Q

from common.clock import now
from common.errors import InvalidInputError
from fleet import events
from fleet.errors import DeviceExistsError, EnrolmentRefusedError, InvalidCsrError, TrustRootMissingError
from fleet.models import Device, DeviceState, EnrolmentToken
from fleet.policy.lifecycle import MAY_CONNECT
from fleet.policy.texts import is_storable, texts_check
from fleet.services.authority import device_authority_ensure, device_certificate_sign
from fleet.services.events import device_event_append
from fleet.services.places import hardware_profile_for
from flotilla_protocol.codec import plain
from flotilla_protocol.errors import IdentityError
from flotilla_protocol.identity import csr_verify, public_key_to_der
from flotilla_protocol.messages import EnrolRequest
from governance.models import Organization
from governance.secrets import bearer_digest
from governance.services.audit import audit_write
from governance.types import Actor

RootProvider = Callable[[int], str]
"""``organization number -> text of its first TUF root.json``."""

_root_provider: list[RootProvider] = []
_REFUSAL_INTERVAL = timedelta(minutes=1)
_REFUSALS_KEPT = 1_000
_refusals: dict[int, datetime] = {}


def register_root_provider(provider: RootProvider) -> None:
    """Say where the first root of trust comes from; the model registry does, when the process starts."""
    _root_provider[:] = [provider]


@dataclass(frozen=True)
class Enrolled:
    """A device that is in."""

    device: Device
    tenant: str
    authority_pem: str
    root_metadata: str


def device_enrol(*, tenant: str, request: EnrolRequest) -> Enrolled:
    """Let a device in, or give it again what an answer that was lost had given it.

    Args:
        tenant: the organization's slug from the path, in any case.
        request: what the device sent.

    Returns:
        The device with its certificate. For the same token and key the same certificate, any number of times.

    Raises:
        EnrolmentRefusedError: unknown tenant; unknown, used, expired or revoked token.
        InvalidCsrError: the certificate request is not signed by its P-256 key, or names another device.
        InvalidInputError: a text cannot be kept.
        DeviceExistsError: the id belongs to another device; the token stays unused.
        TrustRootMissingError: there is no root of trust to hand out; the token stays unused.
    """
    organization, token = _token_find(tenant, request.token)
    _texts_check(request)
    try:
        public_key = csr_verify(request.csr_pem, request.controller_id)
    except IdentityError as error:
        raise InvalidCsrError(str(error), fields={"csr_pem": str(error)}) from error
    if not _root_provider:
        raise TrustRootMissingError("The server has no root of trust to hand out yet. Nothing was changed.")
    root_metadata = _root_provider[0](organization.pk)
    try:
        with transaction.atomic():
            device = _device_create(token, request, public_key)
    except IntegrityError as error:
        if _constraint(error) != "device_controller_id_once":
            raise
        _refusal_record(token, request.controller_id)
        raise DeviceExistsError(
            f"There is a device {request.controller_id} already, with another key. Enrolling never takes an "
            "identity over: choose another id, or decommission the old device. The token was not used.",
        ) from error
    authority = device_authority_ensure(organization_id=organization.pk)
    return Enrolled(
        device=device,
        tenant=organization.slug,
        authority_pem=authority.certificate_pem,
        root_metadata=root_metadata,
    )


def _constraint(error: IntegrityError) -> str | None:
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.errors.IntegrityError) else None


def _token_find(tenant: str, text: str) -> tuple[Organization, EnrolmentToken]:
    if not is_storable(tenant):
        raise _refused()
    token = (
        EnrolmentToken.objects.filter(
            token_hash=bearer_digest(text), organization__slug=tenant.lower(), revoked_at=None
        )
        .filter(Q(used_at__isnull=False) | Q(expires_at__gt=now()))
        .select_related("organization", "site")
        .first()
    )
    if token is None:
        raise _refused()
    return token.organization, token


def _refused() -> EnrolmentRefusedError:
    return EnrolmentRefusedError(
        "The enrolment token cannot be used here. Ask for a new one; each lets one device in, once."
    )


def _texts_check(request: EnrolRequest) -> None:
    texts_check(request.attributes, field="attributes")
    hardware = plain(request.hardware)
    texts = {
        "name": [request.name],
        "agent_version": [request.agent_version],
        "hardware": [
            *(value for value in hardware.values() if isinstance(value, str)),
            *hardware["accelerators"],
            *hardware["runtimes"],
        ],
    }
    for field, values in texts.items():
        if not all(is_storable(value) for value in values):
            raise InvalidInputError("A text holds characters that cannot be kept.", fields={field: "Without NUL."})


def _device_create(token: EnrolmentToken, request: EnrolRequest, public_key: ec.EllipticCurvePublicKey) -> Device:
    """Spend the token and make the device, in the caller's transaction."""
    at = now()
    public_der = public_key_to_der(public_key)
    # Of requests that arrive together one changes the row; the others wait here for its commit and find it used.
    is_ours = EnrolmentToken.objects.filter(pk=token.pk, used_at=None, revoked_at=None, expires_at__gt=at).update(
        used_at=at
    )
    if not is_ours:
        return _device_repeat(token, request.controller_id, public_der)
    authority = device_authority_ensure(organization_id=token.organization_id)
    certificate = device_certificate_sign(
        authority=authority, controller_id=request.controller_id, public_key=public_key
    )
    profile = hardware_profile_for(organization_id=token.organization_id, hardware=request.hardware)
    device = Device.objects.create(
        organization_id=token.organization_id,
        controller_id=request.controller_id,
        name=request.name or request.controller_id,
        state=DeviceState.ACCEPTED,
        hardware_profile=profile,
        site=token.site,
        region_id=token.site.region_id if token.site else None,
        labels=token.labels,
        attributes=dict(request.attributes),
        attributes_wanted=not request.attributes,
        agent_version=request.agent_version,
        public_key=public_der,
        certificate_pem=certificate.pem,
        certificate_expires_at=certificate.expires_at,
        last_seen_at=at,
        created_at=at,
    )
    EnrolmentToken.objects.filter(pk=token.pk).update(used_by=device)
    device_event_append(
        device_id=device.pk,
        kind=events.ENROLLED,
        at=at,
        reference_kind="enrolment_token",
        reference_id=token.public_id,
        data={"hardware_profile": profile.name, "agent_version": device.agent_version},
    )
    events.publish_device_changed(
        organization_id=device.organization_id,
        public_id=device.public_id,
        state=device.state,
        is_online=True,
        last_seen_at=at,
    )
    audit_write(
        organization_id=token.organization_id,
        actor=Actor(kind="device", id=str(device.public_id)),
        action="device.enrol",
        object_kind="device",
        object_id=str(device.public_id),
        data={"controller_id": device.controller_id, "token": token.prefix},
    )
    return device


def _device_repeat(token: EnrolmentToken, controller_id: str, public_der: bytes) -> Device:
    """The device this very token let in, when it asks again with its own key.

    Raises:
        EnrolmentRefusedError: the token let another device in, or the device is out of service.
    """
    used = EnrolmentToken.objects.filter(pk=token.pk).select_related("used_by").get()
    device = used.used_by
    if (
        device is None
        or device.controller_id != controller_id
        or device.public_key is None
        or bytes(device.public_key) != public_der
        or device.state not in MAY_CONNECT
    ):
        raise _refused()
    return device


def _refusal_record(token: EnrolmentToken, controller_id: str) -> None:
    """Somebody with a good token asked for an id that is taken: a security event of the organization.

    At most one entry per token and minute in this process: repeating the request must not fill the log.
    """
    at = now()
    if len(_refusals) >= _REFUSALS_KEPT:
        _refusals.clear()
    if at - _refusals.get(token.pk, datetime.min.replace(tzinfo=UTC)) < _REFUSAL_INTERVAL:
        return
    _refusals[token.pk] = at
    with transaction.atomic():
        audit_write(
            organization_id=token.organization_id,
            actor=Actor(kind="device", id=""),
            action="device.enrol_refused",
            object_kind="enrolment_token",
            object_id=str(token.public_id),
            reason="the id is taken by another key",
            data={"controller_id": controller_id},
        )
