"""Ticks that die at any statement, and ticks that run twice at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Model

from common.clock import now
from fleet.models import Device, InstalledModel
from governance.models import Organization
from rollouts.models import Action, Deployment, GateResult, Rollout, RolloutEvent, Wave
from rollouts.services.changes import deployment_move
from rollouts.services.offers import device_offer
from rollouts.services.reconcile import rollout_reconcile, rollouts_reconcile
from rollouts.services.rollouts import rollout_rollback
from tests.factories.fleets import device_make, installed_make, version_make
from tests.factories.people import Person
from tests.rollouts.test_flow import start, state, states

TABLES: tuple[type[Model], ...] = (Rollout, Wave, Deployment, Action, RolloutEvent, GateResult, InstalledModel)


class KilledError(BaseException):
    """What a killed process looks like from inside: nothing catches it."""


def snapshot() -> list[Any]:
    return [list(table._default_manager.order_by("pk").values_list()) for table in TABLES]


def killed_everywhere(act: Callable[[], None]) -> int:
    """Run ``act`` again and again, killed at its first, second, ... statement; returns how many it has."""
    number = 0
    while True:
        number += 1
        count = 0

        def wrapper(execute: Any, sql: str, *rest: Any, at: int = number) -> Any:
            nonlocal count
            # Savepoints are the test's own: the tick is one transaction, and its commit is one step.
            if not sql.startswith(("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO")):
                count += 1
                if count == at:
                    raise KilledError
            return execute(sql, *rest)

        before = snapshot()
        try:
            with connection.execute_wrapper(wrapper), transaction.atomic():
                act()
        except KilledError:
            assert snapshot() == before, f"killed at statement {number}, something stayed"
            continue
        return number - 1


@pytest.mark.django_db
def test_a_tick_killed_at_any_statement_leaves_nothing_half_done(operator: Person, organization: Organization) -> None:
    devices = [device_make(organization) for _ in range(4)]
    old, new = version_make(organization, "1.0.0"), version_make(organization, "1.1.0")
    for device in devices:
        installed_make(device, old)
    rollout = start(operator, new, strategy="all_at_once", evidence_required="observed")

    def tick() -> None:
        rollout_reconcile(rollout_id=rollout.pk, now=now())

    assert killed_everywhere(tick) > 5  # planning
    assert state(rollout) == "running"
    assert Deployment.objects.count() == 4

    assert killed_everywhere(lambda: _offer(devices[0])) > 5
    assert Action.objects.count() == 1

    for device in devices:
        _prove(rollout, device)
    assert killed_everywhere(tick) > 5  # the last wave passes
    assert state(rollout) == "completed"

    rollout_rollback(caller=operator.caller, rollout_id=rollout.public_id, reason="changed our mind")
    assert killed_everywhere(tick) > 5
    assert set(states(rollout).values()) == {"restoring"}


def _offer(device: Device) -> None:
    assert device_offer(organization_id=device.organization_id, device_id=device.pk) is not None


def _prove(rollout: Rollout, device: Device) -> None:
    deployment = Deployment.objects.select_related("rollout__version__model", "device", "variant__artifact").get(
        rollout=rollout, device=device
    )
    if deployment.state == "planned":
        deployment_move(deployment, "offered", at=now())
    Action.objects.filter(device=device).update(state="closed", result="success")
    deployment_move(deployment, "probation", at=now(), installed_at=now())
    deployment_move(deployment, "proven", at=now(), proven_at=now(), evidence="observed")
    assert deployment.variant is not None
    InstalledModel.objects.filter(device=device).update(version="1.1.0", digest=deployment.variant.artifact.sha256)


@pytest.mark.django_db(transaction=True)
def test_two_reconcilers_at_once_do_everything_once(operator: Person, organization: Organization) -> None:
    for _ in range(30):
        device_make(organization)
    rollout = start(operator, version_make(organization), evidence_required="observed")
    barrier = threading.Barrier(4)

    def run() -> None:
        barrier.wait()
        for offset in range(3):
            rollouts_reconcile(now=now() + timedelta(seconds=offset))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    kinds = list(RolloutEvent.objects.filter(rollout=rollout).values_list("kind", flat=True))
    assert kinds.count("rollout.planned") == 1
    assert kinds.count("wave.released") == 1
    assert Deployment.objects.filter(rollout=rollout).count() == 30
    assert Wave.objects.filter(rollout=rollout).count() == 2


@pytest.mark.django_db(transaction=True)
def test_offers_made_while_a_rollout_goes_back_do_not_survive_it(operator: Person, organization: Organization) -> None:
    devices = [device_make(organization) for _ in range(12)]
    rollout = start(operator, version_make(organization), strategy="all_at_once", evidence_required="observed")
    rollouts_reconcile()
    rollout_rollback(caller=operator.caller, rollout_id=rollout.public_id, reason="stop")
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            for device in devices:
                device_offer(organization_id=organization.pk, device_id=device.pk)
        connection.close()

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        for offset in range(6):
            rollouts_reconcile(now=now() + timedelta(seconds=offset))
    finally:
        stop.set()
        thread.join(60)
    rollouts_reconcile(now=now() + timedelta(seconds=9))
    assert state(rollout) == "rolled_back"
    assert set(states(rollout).values()) == {"cancelled"}
    assert not Action.objects.exclude(state="closed").exists()
