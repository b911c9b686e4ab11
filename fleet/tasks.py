"""Periodic work of the fleet."""

from __future__ import annotations

from celery import shared_task

from common.periodic import PeriodicTask
from fleet.services.access import used_assertions_purge
from fleet.services.contact import devices_lost_detect
from fleet.services.partitions import device_event_partitions_ensure


@shared_task(name="fleet.devices_lost_detect")
def devices_lost_detect_task() -> int:
    """Note devices that have fallen silent."""
    return devices_lost_detect()


@shared_task(name="fleet.used_assertions_purge")
def used_assertions_purge_task() -> int:
    """Forget expired assertions."""
    return used_assertions_purge()


@shared_task(name="fleet.device_event_partitions_ensure")
def device_event_partitions_ensure_task() -> list[str]:
    """Make the event ledger's months ahead."""
    return device_event_partitions_ensure()


PERIODIC_TASKS = {
    "fleet.devices_lost_detect": PeriodicTask(task="fleet.devices_lost_detect", every_s=5, queue="default"),
    "fleet.used_assertions_purge": PeriodicTask(task="fleet.used_assertions_purge", every_s=120, queue="default"),
    "fleet.device_event_partitions_ensure": PeriodicTask(
        task="fleet.device_event_partitions_ensure", every_s=3600, queue="default"
    ),
}
