"""Fleets and releases as rows: what rollouts start from."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from common.clock import now
from fleet.models import Device, DeviceState, Evidence, HardwareProfile, InstalledModel, Region
from flotilla_protocol.identity import PrivateKey, key_generate, public_key_to_der
from governance.models import Organization
from models_registry.models import Approval, Artifact, Model, ModelVersion, Variant, VersionState
from models_registry.services.artifacts import artifact_store_bytes

_numbers = itertools.count(1)


def hardware_profile_make(organization: Organization, name: str = "cpu") -> HardwareProfile:
    """The hardware profile of that name, made if needed."""
    profile, _ = HardwareProfile.objects.get_or_create(
        organization=organization, name=name, defaults={"architecture": "arm64", "created_at": now()}
    )
    return profile


def region_make(organization: Organization, name: str = "north") -> Region:
    """The region of that name, made if needed."""
    region, _ = Region.objects.get_or_create(organization=organization, name=name, defaults={"created_at": now()})
    return region


def device_make(
    organization: Organization,
    *,
    hardware: str = "cpu",
    region: str | None = "north",
    state: str = DeviceState.ACCEPTED,
    controller_id: str = "",
    key: PrivateKey | None = None,
    **values: Any,
) -> Device:
    """An accepted device that was heard of just now. ``key``: its identity; without one it cannot attest."""
    controller_id = controller_id or f"device-{next(_numbers)}"
    return Device.objects.create(
        **{
            "organization": organization,
            "controller_id": controller_id,
            "name": controller_id,
            "state": state,
            "hardware_profile": hardware_profile_make(organization, hardware),
            "region": region_make(organization, region) if region else None,
            "public_key": public_key_to_der(key.public_key()) if key else None,
            "attributes_wanted": False,
            "last_seen_at": now(),
            "created_at": now(),
            **values,
        }
    )


def devices_make(organization: Organization, count: int, **values: Any) -> list[Device]:
    """Many devices in one statement."""
    values.setdefault("hardware", "cpu")
    values.setdefault("region", "north")
    hardware = hardware_profile_make(organization, values.pop("hardware"))
    region_name = values.pop("region")
    region = region_make(organization, region_name) if region_name else None
    at = now()
    first = next(_numbers) * 1_000_000
    return Device.objects.bulk_create(
        Device(
            **{
                "organization": organization,
                "controller_id": f"device-{first + index}",
                "name": f"device-{first + index}",
                "state": DeviceState.ACCEPTED,
                "hardware_profile": hardware,
                "region": region,
                "attributes_wanted": False,
                "last_seen_at": at,
                "created_at": at,
                **values,
            }
        )
        for index in range(count)
    )


def artifact_make(organization: Organization, body: bytes | None = None, *, is_stored: bool = False) -> Artifact:
    """An artifact; its bytes are in the store only when ``is_stored``."""
    body = body if body is not None else f"bytes {next(_numbers)}".encode()
    if is_stored:
        return artifact_store_bytes(organization_id=organization.pk, body=body, media_type="application/octet-stream")
    return Artifact.objects.create(
        organization=organization,
        sha256=hashlib.sha256(body).hexdigest(),
        sha1=hashlib.sha1(body, usedforsecurity=False).hexdigest(),
        size_bytes=len(body),
        created_at=now(),
    )


def version_make(
    organization: Organization, version: str = "1.0.0", *, model: str = "digits", is_stored: bool = False, **values: Any
) -> ModelVersion:
    """A ready, approved version with one variant for any hardware."""
    found, _ = Model.objects.get_or_create(organization=organization, name=model, defaults={"created_at": now()})
    made = ModelVersion.objects.create(
        **{
            "organization": organization,
            "model": found,
            "version": version,
            "source": artifact_make(organization),
            "state": VersionState.READY,
            "approval": Approval.APPROVED,
            "created_at": now(),
            **values,
        }
    )
    variant_make(made, is_stored=is_stored)
    return made


def variant_make(
    version: ModelVersion, name: str = "fp32", *, hardware: HardwareProfile | None = None, is_stored: bool = False
) -> Variant:
    """A variant with bytes and a manifest of its own."""
    organization = version.organization
    return Variant.objects.create(
        organization=organization,
        version=version,
        name=name,
        hardware_profile=hardware,
        artifact=artifact_make(
            organization, f"{version.model.name} {version.version} {name}".encode() * 400, is_stored=is_stored
        ),
        manifest=artifact_make(organization, f"manifest {version.pk} {name}".encode(), is_stored=is_stored),
        created_at=now(),
    )


def installed_make(device: Device, version: ModelVersion) -> InstalledModel:
    """Say that the device is proven to run the version's first variant."""
    variant = version.variants.order_by("id").first()
    assert variant is not None
    return InstalledModel.objects.create(
        device=device,
        model_name=version.model.name,
        version=version.version,
        digest=variant.artifact.sha256,
        evidence=Evidence.ATTESTED,
        since=now(),
    )


def key_make() -> PrivateKey:
    """A device key."""
    return key_generate()
