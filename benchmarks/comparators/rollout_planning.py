"""A rollout planned by the product, and the same plan made the usual way: read, decide in Python, ``bulk_create``.

Each command prints one JSON value. ``fleet COUNT`` makes devices that run 1.0.0; ``product`` plans 1.1.0 for all of
them, ``orm COUNT`` for so many, by the same rules, and both print the seconds from start to commit. The ORM's side is
configured well: it reads only the columns it needs through a server-side cursor, decides with the same pure function,
and inserts 5,000 rows at a time in one transaction.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections import Counter
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402 - Django must be configured first

from common.clock import now  # noqa: E402
from fleet.models import Device, HardwareProfile, Region  # noqa: E402
from governance.models import Organization  # noqa: E402
from models_registry.models import Approval, Artifact, Model, ModelVersion, Variant, VersionState  # noqa: E402
from rollouts.models import Deployment, Rollout, RolloutState, Strategy, Wave  # noqa: E402
from rollouts.policy.assignment import assign  # noqa: E402
from rollouts.policy.strategies import waves_of  # noqa: E402
from rollouts.policy.types import policy_from, to_json  # noqa: E402
from rollouts.services.planner import rollout_plan  # noqa: E402

REGIONS, PROFILES = 4, 5
BATCH = 5_000


def fleet(count: int) -> int:
    """Devices over 20 strata, all proven on 1.0.0."""
    organization = Organization.objects.create(slug="bench", name="Bench", created_at=now())
    for number in range(REGIONS):
        Region.objects.create(organization=organization, name=f"region-{number}", created_at=now())
    for number in range(PROFILES):
        HardwareProfile.objects.create(
            organization=organization, name=f"hardware-{number}", architecture="arm64", created_at=now()
        )
    model = Model.objects.create(organization=organization, name="digits", created_at=now())
    for version in ("1.0.0", "1.1.0"):
        _version(organization, model, version)
    old = Variant.objects.get(version__version="1.0.0").artifact.sha256
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO fleet_device (public_id, organization_id, controller_id, name, state, hardware_profile_id,
                region_id, labels, attributes, agent_version, public_key, certificate_pem, revision, action_number,
                attributes_wanted, token_generation, created_at)
            SELECT gen_random_uuid(), %(organization)s, 'device-' || n, 'device-' || n, 'accepted',
                (SELECT array_agg(id ORDER BY id) FROM fleet_hardwareprofile)[1 + n %% %(profiles)s],
                (SELECT array_agg(id ORDER BY id) FROM fleet_region)[1 + n / 7 %% %(regions)s],
                '{}', '{}', '1.0', '\\x00', '', 1, 0, false, 1, now()
            FROM generate_series(1, %(count)s) n
            """,
            {"organization": organization.pk, "profiles": PROFILES, "regions": REGIONS, "count": count},
        )
        cursor.execute(
            """
            INSERT INTO fleet_installedmodel (device_id, model_name, version, digest, evidence, since, previous_version,
                previous_digest)
            SELECT id, 'digits', '1.0.0', %s, 'attested', now(), '', '' FROM fleet_device
            """,
            [old],
        )
        cursor.execute("VACUUM ANALYZE fleet_device")
        cursor.execute("VACUUM ANALYZE fleet_installedmodel")
    return Device.objects.count()


def _version(organization: Organization, model: Model, version: str) -> None:
    artifact = Artifact.objects.create(
        organization=organization,
        sha256=hashlib.sha256(version.encode()).hexdigest(),
        sha1="0" * 40,
        size_bytes=1,
        created_at=now(),
    )
    made = ModelVersion.objects.create(
        organization=organization,
        model=model,
        version=version,
        source=artifact,
        state=VersionState.READY,
        approval=Approval.APPROVED,
        created_at=now(),
    )
    Variant.objects.create(organization=organization, version=made, name="fp32", artifact=artifact, created_at=now())


def _rollout() -> Rollout:
    version = ModelVersion.objects.get(version="1.1.0")
    return Rollout.objects.create(
        organization=version.organization,
        name="bench",
        version=version,
        strategy=Strategy.CANARY,
        salt="bench",
        policy=to_json(policy_from({})),
        selector={},
        state=RolloutState.PLANNING,
        created_at=now(),
    )


def _clear() -> None:
    Rollout.objects.update(state=RolloutState.CANCELLED)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE rollouts_deployment CASCADE")


def product() -> dict[str, Any]:
    """The product's plan."""
    _clear()
    rollout = _rollout()
    started = time.perf_counter()
    with transaction.atomic():
        rollout_plan(rollout=rollout, at=now())
    return _result(rollout, time.perf_counter() - started)


def orm(count: int) -> dict[str, Any]:
    """The same shares by reading ``count`` devices and inserting their deployments."""
    _clear()
    rollout = _rollout()
    started = time.perf_counter()
    with transaction.atomic():
        policy = policy_from(rollout.policy)
        waves = waves_of(rollout.strategy, policy)
        new, at = Variant.objects.get(version=rollout.version), now()
        previous = dict(
            Variant.objects.filter(version__model=rollout.version.model).values_list("artifact__sha256", "pk")
        )
        rows = Device.objects.filter(
            organization=rollout.organization, state="accepted", installed_models__model_name="digits"
        ).values_list("pk", "controller_id", "region_id", "hardware_profile_id", "installed_models__digest")
        devices = list(rows.order_by("pk")[:count].iterator(10_000))
        assigned = assign(
            [(cid, (region, hardware)) for _, cid, region, hardware, _ in devices], salt=rollout.salt, waves=waves
        )
        Deployment.objects.bulk_create(
            (
                Deployment(
                    rollout=rollout,
                    device_id=pk,
                    wave=assigned[cid],
                    variant=new,
                    previous_variant_id=previous[digest],
                    state_at=at,
                )
                for pk, cid, _, _, digest in devices
                if digest != new.artifact.sha256
            ),
            batch_size=BATCH,
        )
        counts = Counter(assigned.values())
        Wave.objects.bulk_create(
            Wave(rollout=rollout, number=number, name=wave.name, device_count=counts[number])
            for number, wave in enumerate(waves, start=1)
        )
    return _result(rollout, time.perf_counter() - started)


def _result(rollout: Rollout, seconds: float) -> dict[str, Any]:
    waves = list(Wave.objects.filter(rollout=rollout).order_by("number").values_list("device_count", flat=True))
    return {"seconds": seconds, "waves": waves, "deployments": Deployment.objects.filter(rollout=rollout).count()}


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    print(json.dumps({"fleet": fleet, "product": product, "orm": orm}[command](*map(int, rest))))
