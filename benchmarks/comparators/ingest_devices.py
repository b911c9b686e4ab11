"""Makes an organization with devices that may send telemetry, and prints them as JSON.

Run inside an installation: ``python -m benchmarks.comparators.ingest_devices <count>``.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from common.clock import advanced, now  # noqa: E402 - Django must be set up first
from fleet.models import Device, DeviceState, HardwareProfile  # noqa: E402
from fleet.services.access import access_token_encode  # noqa: E402
from fleet.types import DeviceCaller  # noqa: E402
from governance.services.organizations import organization_create  # noqa: E402


def main() -> None:
    """Devices in one insert; tokens that outlast the measurement."""
    organization = organization_create(slug="bench", name="Bench")
    profile = HardwareProfile.objects.create(
        organization=organization, name="box", architecture="x86_64", created_at=now()
    )
    devices = Device.objects.bulk_create(
        Device(
            organization=organization,
            controller_id=f"device-{number}",
            name=f"device-{number}",
            state=DeviceState.ACCEPTED,
            hardware_profile=profile,
            created_at=now(),
        )
        for number in range(int(sys.argv[1]))
    )
    with advanced(timedelta(hours=6)):
        made = [
            {
                "device_id": device.pk,
                "path": f"/bench/agent/v1/{device.controller_id}/telemetry",
                "token": access_token_encode(
                    DeviceCaller(organization.pk, device.pk, device.controller_id, "bench"),
                    generation=device.token_generation,
                ).text,
            }
            for device in devices
        ]
    sys.stdout.write(json.dumps(made))


if __name__ == "__main__":
    main()
