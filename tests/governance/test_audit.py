"""The audit log: complete, in order, and unchangeable."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, connections, transaction
from pytest_django import DjangoAssertNumQueries

from governance.models import AuditEntry, Organization
from governance.services.audit import audit_write
from governance.types import SYSTEM
from tests.factories.people import Person, organization_make

pytestmark = pytest.mark.sql


def write(organization: Organization, action: str = "thing.do") -> AuditEntry:
    with transaction.atomic():
        return audit_write(
            organization_id=organization.pk, actor=SYSTEM, action=action, object_kind="thing", object_id="1"
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda: AuditEntry.objects.update(action="nothing.happened"),
        lambda: AuditEntry.objects.all().delete(),
        lambda: AuditEntry.objects.filter(pk=-1).update(action="not even of no row"),
        lambda: connection.cursor().execute("TRUNCATE governance_auditentry"),
    ],
    ids=["update", "delete", "update of nothing", "truncate"],
)
def test_an_entry_can_neither_be_changed_nor_removed(organization: Organization, change: Callable[[], object]) -> None:
    write(organization)
    connection.check_constraints()  # deferred checks would stop a TRUNCATE before the trigger does

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change()

    assert AuditEntry.objects.filter(action="thing.do").count() == 1


def test_numbers_count_from_one_in_each_organization(
    organization: Organization, other_organization: Organization
) -> None:
    for _ in range(3):
        write(organization)
    for each in (organization, other_organization):
        numbers = list(AuditEntry.objects.filter(organization=each).order_by("number").values_list("number", flat=True))
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_transaction_that_fails_leaves_no_gap(organization: Organization) -> None:
    before = write(organization).number
    with transaction.atomic():
        write(organization)
        transaction.set_rollback(True)

    assert write(organization).number == before + 1


def test_an_entry_belongs_to_the_change_it_records(organization: Organization, transactional_db: None) -> None:
    with pytest.raises(RuntimeError, match="inside the transaction"):
        audit_write(organization_id=organization.pk, actor=SYSTEM, action="a.b", object_kind="x", object_id="1")


def test_entries_written_at_once_are_numbered_without_gap_or_double(transactional_db: None) -> None:
    organization = organization_make("busy")

    def write_some() -> None:
        try:
            for _ in range(5):
                write(organization)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    entries = AuditEntry.objects.filter(organization=organization)
    numbers = sorted(entries.values_list("number", flat=True))
    assert numbers == list(range(1, 22))  # one of them says that the organization was made


def test_administrators_read_it_newest_first_with_names(owner: Person) -> None:
    owner.post("/api/v1/regions/", {"name": "north"})

    first, *_ = owner.get("/api/v1/audit/").json()["results"]

    assert first["action"] == "region.create"
    assert (first["object"]["kind"], first["object"]["name"]) == ("region", "north")
    assert (first["actor"]["kind"], first["actor"]["name"]) == ("token", "test")
    assert set(first) == {"id", "number", "at", "actor", "action", "object", "reason", "data"}


def test_it_is_filtered_and_paged_by_number(owner: Person) -> None:
    for name in "abcde":
        owner.post("/api/v1/regions/", {"name": name})

    page = owner.get("/api/v1/audit/?action=region.create&limit=2").json()
    rest = owner.get(page["next"]).json()

    assert [row["object"]["name"] for row in page["results"] + rest["results"]] == ["e", "d", "c", "b"]
    assert owner.get("/api/v1/audit/?object_kind=nothing").json()["results"] == []


def test_only_administrators_read_it(viewer: Person, operator: Person) -> None:
    for person in (viewer, operator):
        answer = person.get("/api/v1/audit/")
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")


def test_reading_it_costs_the_same_however_long_it_is(
    owner: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for start in (0, 20):
        for number in range(start, start + 20):
            owner.post("/api/v1/regions/", {"name": f"region {number}"})
        with django_assert_max_num_queries(8):  # token, page, and one per kind of thing it names
            owner.get("/api/v1/audit/")
