"""A device's very first model is taken back: the real server, the real agent and the simulator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.clock import now
from fleet.models import InstalledModel
from flotilla_agent.agent import Agent, Options
from flotilla_agent.client import Addresses
from flotilla_agent.enrol import enrol
from flotilla_agent.identity import Identity
from flotilla_agent.simulator import DataSet, Fleet
from flotilla_agent.state_folder import StateFolder
from governance.models import Organization
from models_registry.models import Approval, Model, ModelVersion, Variant, VersionState
from models_registry.services.approval import approval_grant, approval_request
from rollouts.models import Deployment, Rollout
from rollouts.services.reconcile import rollouts_reconcile
from rollouts.services.rollouts import rollout_create, rollout_rollback, rollout_start
from telemetry.models import HealthSample
from tests.factories.fleet import enrolment_token_make
from tests.factories.fleets import artifact_make
from tests.factories.people import Person
from tests.server import Server
from tests.simulator_server.models import pictures, publish

pytestmark = pytest.mark.sql

DEADLINE_S = 60.0
POLICY: dict[str, Any] = {
    "gates": [], "soak_s": 0, "holdout_percent": 0, "evidence_required": "attested", "gate_interval_s": 1,
}  # fmt: skip


def published(organization: Organization, owner: Person) -> ModelVersion:
    """A real model, approved and signed."""
    made = publish("1.0.0")
    version = ModelVersion.objects.create(
        organization=organization,
        model=Model.objects.create(organization=organization, name=made.model, created_at=now()),
        version=made.version,
        source=artifact_make(organization),
        state=VersionState.READY,
        approval=Approval.NONE,
        created_at=now(),
    )
    Variant.objects.create(
        organization=organization,
        version=version,
        name="fp32",
        artifact=artifact_make(organization, made.file, is_stored=True),
        manifest=artifact_make(organization, made.manifest_file, is_stored=True),
        created_at=now(),
    )
    approval_request(caller=owner.caller, version_id=version.public_id)
    return approval_grant(caller=owner.caller, version_id=version.public_id)


@pytest.fixture
def agent(server: Server, owner: Person, tmp_path: Path) -> Iterator[Agent]:
    folder = StateFolder(tmp_path / "agent")
    identity = Identity(folder.identity)
    http = httpx.Client(timeout=10, trust_env=False)
    addresses = Addresses(server.url, owner.organization.slug, "agent-1")
    token = enrolment_token_make(owner.caller)
    enrolment = enrol(identity=identity, addresses=addresses, token=token, profile="bench", http=http)
    agent = Agent(
        folder=folder, identity=identity, enrolment=enrolment, options=Options(), http=http, pause=lambda _: 0.05
    )
    agent.machine.resume()
    yield agent
    agent.control_plane.close()


def until(condition: Callable[[], bool], turn: Callable[[], object]) -> None:
    """Turn the device's loop and the reconciler until it is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, list(Deployment.objects.values("state", "reason_code"))
        turn()
        rollouts_reconcile(now=now())
        time.sleep(0.02)


def there_and_back(organization: Organization, owner: Person, turn: Callable[[], object]) -> None:
    """Roll the device's first model out and take it back."""
    rollout = rollout_create(
        caller=owner.caller, name="first", version_id=published(organization, owner).public_id,
        strategy="all_at_once", selector={}, policy=POLICY,
    )  # fmt: skip
    rollout_start(caller=owner.caller, rollout_id=rollout.public_id)

    def state() -> str:
        return Rollout.objects.values_list("state", flat=True).get(pk=rollout.pk)

    until(lambda: state() == "completed", turn)
    assert InstalledModel.objects.get().version == "1.0.0"
    rollout_rollback(caller=owner.caller, rollout_id=rollout.public_id, reason="not this model")
    until(lambda: state() == "rolled_back", turn)
    row = Deployment.objects.get(rollout=rollout)
    assert (row.state, row.reason_code) == ("rolled_back", "")
    assert not InstalledModel.objects.exists()


@pytest.mark.timeout(240)
def test_the_real_agent_gives_its_first_model_up_and_goes_on(
    agent: Agent, organization: Organization, owner: Person
) -> None:
    def turn() -> None:
        agent.poll_soon()
        agent.control_turn()

    turn()
    there_and_back(organization, owner, turn)
    assert agent.slots.current("shapes") is None
    assert agent.runtime.process(pictures(1)) == {}
    until(HealthSample.objects.exists, agent._uplink_turn())


@pytest.mark.timeout(240)
def test_a_simulated_device_gives_its_first_model_up_and_goes_on(
    server: Server, organization: Organization, owner: Person, tmp_path: Path
) -> None:
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(timeout=10, trust_env=False)
        fleet = Fleet(
            server=server.url, tenant=organization.slug, data=DataSet.of(pictures()), folder=tmp_path, http=http
        )
        device = fleet.add("simulated-1", profile="bench", token=enrolment_token_make(owner.caller))
        runner.run(device.step())
        there_and_back(organization, owner, lambda: runner.run(device.step()))
        assert device.record.running == {}
        batches = device.telemetry.acknowledged
        runner.run(device.step())
        assert device.telemetry.acknowledged > batches
        runner.run(http.aclose())
