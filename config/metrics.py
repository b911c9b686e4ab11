"""The fleet in numbers for Prometheus, read from the database whenever it is asked for.

Beside what each process counts about itself. Labels hold organizations and states, never devices: the number of series
does not grow with the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Case, Count, Max, Min, QuerySet, Value, When
from django_celery_beat.models import PeriodicTask
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from common.clock import now
from common.models import Job, JobState
from fleet.models import Device
from fleet.policy.contact import online_since
from governance.models import Organization
from rollouts.models import Rollout
from telemetry.models import Alert, AlertState


class FleetCollector(Collector):
    """Reads what operators set alarms on. One pass over the devices, some milliseconds per 100,000."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing beforehand: registering must not read the database."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family after the other; raises what the database raises."""
        slugs = dict(Organization.objects.values_list("pk", "slug"))
        at = now()
        contact = Case(
            When(last_seen_at__gte=online_since(at, settings.DEVICE_POLL_INTERVAL_S), then=Value("online")),
            default=Value("offline"),
        )
        yield _family(
            ("flotilla_devices", "Devices by state and contact", ("organization", "state", "contact")),
            Device.objects.annotate(contact=contact).values_list("organization_id", "state", "contact"),
            slugs,
        )
        yield _family(
            ("flotilla_rollouts", "Rollouts by state", ("organization", "state")),
            Rollout.objects.values_list("organization_id", "state"),
            slugs,
        )
        yield _family(
            ("flotilla_alerts_open", "Open alerts by severity", ("organization", "severity")),
            Alert.objects.filter(state=AlertState.OPEN).values_list("organization_id", "severity"),
            slugs,
        )
        unfinished = Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING])
        yield _family(
            ("flotilla_jobs", "Unfinished jobs by queue and state", ("organization", "queue", "state")),
            unfinished.values_list("organization_id", "queue", "state"),
            slugs,
        )
        yield from _ages(at)


def _family(
    what: tuple[str, str, tuple[str, ...]], rows: QuerySet[Any, tuple[Any, ...]], slugs: dict[int, str]
) -> GaugeMetricFamily:
    name, text, labels = what
    family = GaugeMetricFamily(name, text, labels=labels)
    for organization_id, *values, count in rows.annotate(count=Count("pk")).order_by():
        family.add_metric([slugs.get(organization_id, ""), *values], count)
    return family


def _ages(at: datetime) -> Iterable[GaugeMetricFamily]:
    waiting = GaugeMetricFamily(
        "flotilla_job_overdue_seconds", "How long the oldest queued job has been due", labels=("queue",)
    )
    due = Job.objects.filter(state=JobState.QUEUED, run_after__lte=at)
    for queue, oldest in due.values_list("queue").annotate(oldest=Min("run_after")).order_by():
        waiting.add_metric([queue], (at - oldest).total_seconds())
    yield waiting
    newest = PeriodicTask.objects.aggregate(newest=Max("last_run_at"))["newest"]
    # Beat writes it down every three minutes.
    yield GaugeMetricFamily(
        "flotilla_schedule_last_run_timestamp_seconds",
        "When beat last sent a periodic task, as far as it has written it down",
        value=newest.timestamp() if newest else 0.0,
    )
