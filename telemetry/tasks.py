"""Periodic work of telemetry."""

from __future__ import annotations

from celery import shared_task

from common.periodic import PeriodicTask
from telemetry.services.drift import drift_evaluate_due, drift_scores_thin
from telemetry.services.partitions import series_partitions_maintain


@shared_task(name="telemetry.drift_evaluate")
def drift_evaluate_task() -> int:
    """Judge the organizations whose last evaluation is old enough."""
    return drift_evaluate_due()


@shared_task(name="telemetry.series_partitions_maintain")
def series_partitions_maintain_task() -> None:
    """Make, index and drop partitions."""
    series_partitions_maintain()


@shared_task(name="telemetry.drift_scores_thin")
def drift_scores_thin_task() -> int:
    """Drop drift scores nobody needs any more."""
    return drift_scores_thin()


PERIODIC_TASKS = {
    "telemetry.drift_scores_thin": PeriodicTask(task="telemetry.drift_scores_thin", every_s=600, queue="telemetry"),
    "telemetry.drift_evaluate": PeriodicTask(task="telemetry.drift_evaluate", every_s=5, queue="telemetry"),
    "telemetry.series_partitions_maintain": PeriodicTask(
        task="telemetry.series_partitions_maintain", every_s=600, queue="telemetry"
    ),
}
