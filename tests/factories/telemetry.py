"""Devices that send telemetry, and batches to send."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from common.clock import now
from fleet.models import Device
from fleet.services.access import access_token_encode
from fleet.types import DeviceCaller
from flotilla_protocol import codec
from flotilla_protocol.messages import Health, InferenceReport, TelemetryBatch, telemetry_encode
from flotilla_protocol.profile import ReferenceProfile as Profile
from flotilla_protocol.profile import class_edges, feature_profile
from flotilla_protocol.sketch import HistogramSketch
from governance.models import Organization
from models_registry.models import Artifact, Model, ModelVersion, ReferenceProfile, VersionState
from telemetry import hot
from telemetry.packing import PackedGroup, health_copy
from tests.factories.fleet import device_make, site_make

DIGEST = "ab" * 32


def now_ms() -> int:
    """Unix milliseconds."""
    return int(now().timestamp() * 1000)


@dataclass
class Sender:
    """An enrolled device with an access token, and the next sequence of each of its streams."""

    device: Device
    tenant: str
    token: str
    sequences: dict[int, int] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Where its telemetry goes."""
        return f"/{self.tenant}/agent/v1/{self.device.controller_id}/telemetry"

    @property
    def headers(self) -> dict[str, str]:
        """Its credential and the wire's format."""
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/msgpack"}

    def batch(self, *, stream: int = 2, sequence: int | None = None, **parts: Any) -> TelemetryBatch:
        """The next batch of a stream; with one health row where nothing else is given."""
        number = self.sequences.get(stream, 0) + 1 if sequence is None else sequence
        self.sequences[stream] = max(self.sequences.get(stream, 0), number)
        return TelemetryBatch(stream=stream, sequence=number, **(parts or {"health": health_make(1)}))

    def body(self, **parts: Any) -> bytes:
        """The next batch as MessagePack."""
        return telemetry_encode(self.batch(**parts))


def sender_make(organization: Organization, *, region: str = "north", hardware: str = "box") -> Sender:
    """A device that may send, in ``region``."""
    site = site_make(organization, name=f"{region} hall", region=region)
    device = device_make(organization, site=site, profile=hardware, last_seen_at=None)
    caller = DeviceCaller(
        organization_id=organization.pk,
        device_id=device.pk,
        controller_id=device.controller_id,
        tenant=organization.slug,
    )
    token = access_token_encode(caller, generation=device.token_generation).text
    return Sender(device=device, tenant=organization.slug, token=token)


def health_make(rows: int, *, at_ms: int | None = None, **columns: Any) -> Health:
    """Health rows a second apart, the newest at ``at_ms`` (default: now)."""
    end = now_ms() if at_ms is None else at_ms
    values = columns or {"cpu_ratio": [random.Random(row).random() for row in range(rows)]}  # noqa: S311
    return Health(ts_ms=[end - 1000 * (rows - 1 - row) for row in range(rows)], **values)


def window_make(
    *, at_ms: int | None = None, sketches: list[HistogramSketch] | None = None, **values: Any
) -> InferenceReport:
    """An inference window that ends at ``at_ms`` (default: now)."""
    defaults: dict[str, Any] = {
        "window_s": 10.0,
        "model": "digits",
        "version": "1.0.0",
        "digest": DIGEST,
        "inference_count": 100,
        "error_count": 1,
        "latency_ms_mean": 5.0,
        "latency_ms_p50": 4.5,
        "latency_ms_p95": 9.0,
        "confidence_mean": 0.9,
    }
    return InferenceReport(ts_ms=now_ms() if at_ms is None else at_ms, sketches=sketches or [], **(defaults | values))


def version_make(organization: Organization, version: str = "1.0.0", *, model: str = "digits") -> ModelVersion:
    """A ready version of a model."""
    made, _ = Model.objects.get_or_create(organization=organization, name=model, defaults={"created_at": now()})
    number = ModelVersion.objects.count()
    source = Artifact.objects.create(
        organization=organization, sha256=f"{number:064x}", sha1=f"{number:040x}", size_bytes=1, created_at=now()
    )
    return ModelVersion.objects.create(
        organization=organization,
        model=made,
        version=version,
        state=VersionState.READY,
        source=source,
        created_at=now(),
    )


def profile_make(version: ModelVersion, features: dict[str, NDArray[np.float64]], classes: int = 0) -> Profile:
    """The version's reference profile, cut from samples per feature (float64 ``[N]``); ``class`` has class bins."""
    profile = Profile(
        features=[
            feature_profile(name, "output" if name == "class" else "input", values, class_edges(classes))
            if name == "class"
            else feature_profile(name, "input", values)
            for name, values in features.items()
        ]
    )
    ReferenceProfile.objects.create(
        version=version, profile=codec.plain(profile), row_count=len(next(iter(features.values()))), created_at=now()
    )
    return profile


def sketches_make(profile: Profile, values: dict[str, NDArray[np.float64]]) -> list[HistogramSketch]:
    """Sketches of values on the profile's edges."""
    sketches = []
    for name, seen in values.items():
        feature = profile.feature(name)
        assert feature is not None
        builder = feature.builder()
        builder.update(seen)
        sketches.append(builder.sketch())
    return sketches


def batch_store(sender: Sender, *windows: InferenceReport, health: Health | None = None) -> None:
    """Write a batch's rows as ingest does, on Django's connection: inside the test's transaction."""
    packed = PackedGroup()
    batch = TelemetryBatch(stream=1, sequence=1, windows=list(windows), health=health)
    packed.add(sender.device.pk, batch, now_ms=now_ms(), oldest_ms=0)
    with connection.cursor() as cursor:
        with cursor.copy(hot.COPY_WINDOWS) as copy:
            copy.set_types(hot.WINDOW_TYPES)
            for row in packed.windows:
                copy.write_row(row)
        with cursor.copy(hot.COPY_HEALTH) as copy:
            for block in health_copy(packed.health):
                copy.write(block)
