"""``/metrics``: what operators set alarms on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from common.clock import now
from common.models import Job
from governance.models import Organization
from tests.factories.people import Person

pytestmark = pytest.mark.django_db


def _samples() -> dict[tuple[str, tuple[str, ...]], float]:
    text = Client(headers={"host": "testserver"}).get("/metrics").content.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_tells_the_process_and_the_schedule_of_an_empty_installation() -> None:
    samples = _samples()
    assert samples["process_resident_memory_bytes", ()] > 0
    assert samples["flotilla_schedule_last_run_timestamp_seconds", ()] == 0
    assert not any(name == "flotilla_devices" for name, _ in samples)


def test_it_counts_unfinished_jobs_by_queue_and_says_how_long_the_oldest_has_waited(
    organization: Organization,
) -> None:
    at = now()
    for age_s, state in ((90, "queued"), (30, "queued"), (600, "done")):
        Job.objects.create(
            organization_id=organization.pk,
            kind="test",
            queue="artifacts",
            state=state,
            run_after=at - timedelta(seconds=age_s),
            created_at=at,
        )
    samples = _samples()
    assert samples["flotilla_jobs", tuple(sorted(("acme", "artifacts", "queued")))] == 2
    assert 90 <= samples["flotilla_job_overdue_seconds", ("artifacts",)] < 150


def test_it_is_not_part_of_what_an_organization_sees(owner: Person) -> None:
    assert owner.get("/api/v1/metrics").status_code == 404
