"""Jobs as people see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from common.ids import uuid7
from common.jobs import registry
from common.jobs.registry import job_handler
from common.jobs.service import JobContext, job_enqueue
from common.models import Job
from governance.models import AuditEntry, Organization
from tests.factories.fleet import device_make
from tests.factories.people import Person

ADDRESS = "/api/v1/jobs/"


@pytest.fixture(autouse=True)
def _work() -> Iterator[None]:
    """A kind of job that does nothing."""

    def work(context: JobContext) -> dict[str, Any] | None:
        del context
        return None

    registry._kinds.pop("test.work", None)
    job_handler("test.work", queue="default")(work)
    yield
    registry._kinds.pop("test.work", None)


def job_make(organization: Organization, **columns: Any) -> Job:
    values = {name: columns.pop(name) for name in ("subject_kind", "subject_id") if name in columns}
    job = job_enqueue(organization_id=organization.pk, kind="test.work", **values)
    Job.objects.filter(pk=job.pk).update(**columns)
    job.refresh_from_db()
    return job


def test_a_job_says_what_it_works_on_and_how_it_went(viewer: Person) -> None:
    device = device_make(viewer.organization, name="Camera 7")
    job_make(viewer.organization)
    job_make(
        viewer.organization,
        subject_kind="device",
        subject_id=device.public_id,
        state="failed",
        error_code="x.y",
        error_text="It broke.",
        progress_ratio=0.5,
    )

    newest, oldest = viewer.get(ADDRESS).json()["results"]

    assert newest["subject"] == {"kind": "device", "id": str(device.public_id), "name": "Camera 7"}
    assert newest["error"] == {"code": "x.y", "text": "It broke."}
    assert (newest["state"], newest["progress_ratio"]) == ("failed", 0.5)
    assert (oldest["subject"], oldest["error"], oldest["state"]) == (None, None, "queued")
    assert set(newest) == {
        *("id", "kind", "subject", "state", "attempt", "max_attempts", "progress_ratio", "progress_text", "error"),
        *("created_at", "started_at", "finished_at", "queue"),
    }
    assert viewer.get(f"{ADDRESS}{newest['id']}/").json() == newest


def test_jobs_are_filtered_by_state_and_kind(viewer: Person) -> None:
    job_make(viewer.organization)
    failed = job_make(viewer.organization, state="failed", kind="test.other")

    for query in ("?state=failed", "?kind=test.other", "?kind=test.other&state=failed"):
        assert [row["id"] for row in viewer.get(ADDRESS + query).json()["results"]] == [str(failed.public_id)]
    assert viewer.get(ADDRESS + "?state=sleeping").status_code == 400


def test_a_waiting_job_is_cancelled_once_and_retried_once(operator: Person) -> None:
    job = job_make(operator.organization)
    address = f"{ADDRESS}{job.public_id}/"

    assert operator.post(address + "retry/").status_code == 409
    assert operator.post(address + "cancel/").json()["state"] == "cancelled"
    assert operator.post(address + "cancel/").status_code == 409
    assert operator.post(address + "retry/").json()["state"] == "queued"
    assert [entry.action for entry in AuditEntry.objects.filter(object_kind="job").order_by("number")] == [
        "job.cancel",
        "job.retry",
    ]


def test_a_viewer_changes_no_job_and_an_outsider_sees_none(viewer: Person, outsider: Person) -> None:
    job = job_make(viewer.organization)
    address = f"{ADDRESS}{job.public_id}/"

    assert viewer.post(address + "cancel/").status_code == 403
    assert outsider.get(ADDRESS).json()["results"] == []
    for answer in (outsider.get(address), outsider.post(address + "cancel/"), outsider.post(address + "retry/")):
        assert (answer.status_code, answer.json()["code"]) == (404, "insights.job_not_found")
    assert stored_state(job) == "queued"


def stored_state(job: Job) -> str:
    """The state as stored."""
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


def test_a_list_costs_the_same_however_many_jobs(
    viewer: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (1, 20):
        for _ in range(count):
            job_make(viewer.organization, subject_kind="device", subject_id=uuid7())
        viewer.get(ADDRESS)
        with django_assert_max_num_queries(3):  # token, jobs, names of devices
            viewer.get(ADDRESS)
