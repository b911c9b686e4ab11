"""Signing by several at once, and by command."""

from __future__ import annotations

import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from tuf.api.metadata import Metadata, Targets

from governance.models import AuditEntry
from models_registry.models import SigningKey, TrustMetadata
from models_registry.selectors import trust_metadata
from models_registry.services import trust
from tests.factories.people import Person

WRITERS = 6


@pytest.mark.django_db(transaction=True)
def test_approvals_at_the_same_time_lose_nothing_and_number_upwards(owner: Person) -> None:
    organization_id = owner.caller.organization_id
    failures: list[BaseException] = []
    start = threading.Barrier(WRITERS)

    def sign(number: int) -> None:
        try:
            start.wait(timeout=30)
            target = trust.SignedTarget(path=f"m/{number}/fp32/model.onnx", size_bytes=1, sha256="0" * 64)
            with transaction.atomic():
                trust.targets_add(organization_id=organization_id, targets=[target])
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the test
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sign, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []

    content = trust_metadata(organization_id, "targets.json")
    assert content is not None
    targets = Metadata[Targets].from_bytes(content).signed
    assert sorted(targets.targets) == [f"m/{number}/fp32/model.onnx" for number in range(WRITERS)]
    # One repository was made, by whoever came first: version 1 is empty, each writer added one.
    for role in ("targets", "snapshot", "timestamp"):
        versions = TrustMetadata.objects.filter(organization_id=organization_id, role=role).order_by("version")
        numbers = list(versions.values_list("version", flat=True))
        assert numbers[0] == 1
        assert len(set(numbers)) == WRITERS + 1
    assert SigningKey.objects.filter(organization_id=organization_id).count() == len(trust.ROLES)


@pytest.mark.django_db
def test_a_key_is_replaced_by_command_and_the_audit_log_says_so(
    owner: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    slug = owner.organization.slug
    former = trust.trust_root(owner.caller.organization_id)
    call_command("rotate_trust_key", organization=slug, role="targets")
    assert capsys.readouterr().out == f"{slug}: targets has a new key\n"
    assert trust.trust_root(owner.caller.organization_id) != former
    entry = AuditEntry.objects.get(action="trust.rotate")
    assert (entry.actor_kind, entry.data) == ("system", {"role": "targets"})


@pytest.mark.django_db
def test_the_command_refuses_an_organization_there_is_none_of() -> None:
    with pytest.raises(CommandError, match="no such organization"):
        call_command("rotate_trust_key", organization="nobody", role="root")
