"""Gates from telemetry to halt and rollback, and to passing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from common.clock import advanced, now
from fleet.models import Device, InstalledModel
from flotilla_protocol.messages import Health
from governance.models import Organization
from models_registry.models import ModelVersion
from rollouts.models import Deployment, GateResult, Rollout, RolloutEvent, Wave
from rollouts.services.reconcile import rollouts_reconcile
from rollouts.services.rollouts import rollout_create, rollout_resume, rollout_start
from tests.factories.fleets import installed_make, version_make
from tests.factories.people import Person
from tests.factories.telemetry import Sender, batch_store, window_make
from tests.rollouts.door import Door
from tests.rollouts.protocol_client import Agent

AGO_S = 600  # the devices switched so long ago
WINDOW_S = 3
COUNT = 14
POLICY: dict[str, Any] = {
    "soak_s": 0, "holdout_percent": 0, "canary_percent": 45, "waves": [100], "evidence_required": "attested",
    "gate_interval_s": 1, "patience_s": 3600,
    "gates": [
        {"name": "disagreement", "metric": "disagreement", "ceiling": 0.04},
        {"name": "latency", "metric": "latency_p95", "harm_bound": 0.5},
        {"name": "errors", "metric": "error_rate", "harm_bound": 0.02},
    ],
}  # fmt: skip


@contextmanager
def earlier(seconds: float) -> Iterator[None]:
    with advanced(timedelta(seconds=-seconds)):
        yield


class Story:
    """Devices that run 1.0.0, six of which were given another version ten minutes ago."""

    def __init__(self, door: Door, organization: Organization, operator: Person, **policy: Any) -> None:
        self.rng = np.random.default_rng(3)
        self.old = version_make(organization, "1.0.0")
        self.new = version_make(organization, "1.1.0")
        self.operator = operator
        self.digests = {version.version: version.variants.get().artifact.sha256 for version in (self.old, self.new)}
        with earlier(AGO_S):
            self.agents = [Agent(door, organization) for _ in range(COUNT)]
            for agent in self.agents:
                installed_make(agent.device, self.old)
                agent.running["digits"] = ("1.0.0", self.digest(self.old))
            rollout = rollout_create(
                caller=operator.caller, name="r", version_id=self.new.public_id, strategy="canary",
                selector={}, policy={**POLICY, **policy},
            )  # fmt: skip
            rollout_start(caller=operator.caller, rollout_id=rollout.public_id)
            self.tick()
            self.rollout = Rollout.objects.get(pk=rollout.pk)
            canary = set(Deployment.objects.filter(rollout=rollout, wave=1).values_list("device_id", flat=True))
            self.treated = [agent for agent in self.agents if agent.device.pk in canary]
            self.control = [agent for agent in self.agents if agent.device.pk not in canary]
            # How devices get there is walked in test_flow.py.
            Deployment.objects.filter(rollout=rollout, wave=1).update(
                state="proven", evidence="attested", attempt=1, installed_at=now(), proven_at=now()
            )
            InstalledModel.objects.filter(device_id__in=canary).update(version="1.1.0", digest=self.digest(self.new))
        assert len(self.treated) >= 5

    def digest(self, version: ModelVersion) -> str:
        return self.digests[version.version]

    def tick(self) -> None:
        rollouts_reconcile(now=now())

    def state(self) -> str:
        self.rollout.refresh_from_db()
        return self.rollout.state

    def windows(
        self,
        agent: Agent,
        version: ModelVersion,
        *,
        from_s: float,
        count: int,
        latency: float = 10.0,
        errors: float = 0.0,
        disagreement: float | None = None,
    ) -> None:
        """Windows of three seconds from ``from_s`` seconds after the switch (negative: before)."""
        start_ms = int((now().timestamp() - AGO_S + from_s) * 1000)
        made = []
        for index in range(1, count + 1):
            shadow = {} if disagreement is None else {
                "shadow_count": 8, "shadow_disagreement_count": int(self.rng.binomial(8, disagreement))
            }  # fmt: skip
            made.append(
                window_make(
                    at_ms=start_ms + index * WINDOW_S * 1000, window_s=float(WINDOW_S), version=version.version,
                    digest=self.digest(version), inference_count=80, error_count=int(self.rng.binomial(80, errors)),
                    latency_ms_p95=float(latency * self.rng.normal(1, 0.08)), **shadow,
                )
            )  # fmt: skip
        batch_store(Sender(agent.device, "", ""), *made)

    def report_all(
        self, *, latency: float, disagreement: float | None, errors: float = 0.001, windows: int = 20
    ) -> None:
        for number, agent in enumerate(self.agents):
            base = 6.0 + number  # devices differ far more than versions do
            self.windows(agent, self.old, from_s=-90, count=30, latency=base, errors=0.001)
            if agent in self.treated:
                self.windows(
                    agent, self.new, from_s=1, count=windows, latency=base * latency, errors=errors,
                    disagreement=disagreement,
                )  # fmt: skip
            else:
                self.windows(agent, self.old, from_s=1, count=windows, latency=base, errors=0.001)

    def gates(self) -> dict[str, GateResult]:
        rows = GateResult.objects.filter(rollout=self.rollout, wave=1).order_by("at", "id")
        return {row.gate: row for row in rows}


@pytest.fixture
def story(door: Door, organization: Organization, operator: Person) -> Story:
    return Story(door, organization, operator)


def test_a_good_version_passes_every_gate_and_goes_on(story: Story) -> None:
    story.report_all(latency=1.0, disagreement=0.01)
    story.tick()
    gates = story.gates()
    assert {name: gate.verdict for name, gate in gates.items()} == {
        "failed deployments": "pass", "disagreement": "pass", "latency": "pass", "errors": "pass",
    }  # fmt: skip
    assert gates["latency"].control == "matched"
    assert gates["latency"].control_count == len(story.control)
    assert gates["disagreement"].control == "ceiling"
    assert story.state() == "running"
    assert story.rollout.released_wave == 2
    data = gates["latency"].data
    assert len(data["treated"]["ts"]) > 10
    assert len(data["control"]["ts"]) > 10
    assert data["difference"]["value"] == [gates["latency"].estimate]


def test_a_version_that_confuses_a_class_is_halted_and_taken_back(story: Story) -> None:
    story.report_all(latency=1.1, disagreement=0.09)
    story.tick()
    assert story.state() == "halted"
    reason = story.rollout.halt_reason
    assert reason is not None
    assert (reason["gate"], reason["metric"]) == ("disagreement", "disagreement")
    assert " % of inputs, 95 % interval [" in reason["text"]
    assert "beyond the ceiling of 4.0 %" in reason["text"]
    assert story.gates()["disagreement"].verdict == "harm"
    story.tick()
    assert story.state() == "rolling_back"
    for agent in story.treated:
        assert agent.update()["version"] == "1.0.0"
        agent.report()
    story.tick()
    assert story.state() == "rolled_back"
    assert story.rollout.halt_reason == reason
    states = set(Deployment.objects.filter(rollout=story.rollout).values_list("wave", "state"))
    assert states == {(1, "rolled_back"), (2, "cancelled")}
    kinds = list(RolloutEvent.objects.filter(rollout=story.rollout).values_list("kind", flat=True))
    assert "gate.harm" in kinds


def test_a_slow_version_is_halted(story: Story) -> None:
    story.report_all(latency=2.5, disagreement=0.0)
    story.tick()
    assert story.state() == "halted"
    assert story.rollout.halt_reason is not None
    assert story.rollout.halt_reason["metric"] == "latency_p95"
    assert story.gates()["latency"].estimate == pytest.approx(1.5, abs=0.2)


def test_a_version_with_errors_is_halted(story: Story) -> None:
    story.report_all(latency=1.0, disagreement=0.0, errors=0.15)
    story.tick()
    assert story.state() == "halted"
    assert story.rollout.halt_reason is not None
    assert story.rollout.halt_reason["gate"] == "errors"


def test_what_slows_everybody_does_not_halt(story: Story) -> None:
    for number, agent in enumerate(story.agents):
        version = story.new if agent in story.treated else story.old
        story.windows(agent, story.old, from_s=-90, count=30, latency=6.0 + number)
        story.windows(
            agent, version, from_s=1, count=20, latency=(6.0 + number) * 3,
            disagreement=0.0 if agent in story.treated else None,
        )  # fmt: skip
    story.tick()
    assert story.state() == "running"
    assert story.gates()["latency"].verdict == "pass"


def test_a_wave_without_telemetry_holds_and_then_asks_a_person(story: Story) -> None:
    story.tick()
    assert story.state() == "running"
    assert story.gates()["disagreement"].verdict == "missing_devices"
    assert Wave.objects.get(rollout=story.rollout, number=1).passed_at is None
    with advanced(timedelta(hours=2)):
        story.tick()
    assert story.state() == "needs_decision"


def test_a_wave_waits_for_its_devices_before_a_gate_can_hold_it(story: Story) -> None:
    def shown() -> tuple[bool, str]:
        body = story.operator.get(f"/api/v1/rollouts/{story.rollout.public_id}/").json()
        return body["is_holding"], body["next"]["text"]

    slow = Deployment.objects.filter(rollout=story.rollout, wave=1).latest("id")
    Deployment.objects.filter(pk=slow.pk).update(state="installing", state_at=now())
    Device.objects.filter(pk=slow.device_id).update(last_seen_at=now())
    story.tick()
    assert story.gates()["disagreement"].verdict == "missing_devices"
    assert shown() == (False, "Waiting for devices: 1 device of wave 1 on the way; then wave 2 is released.")
    # One that cannot be reached holds nothing: then it is the gate's turn.
    Device.objects.filter(pk=slow.device_id).update(last_seen_at=now() - timedelta(days=1))
    is_holding, text = shown()
    assert is_holding
    assert text.startswith("Gate disagreement holds: ")


def test_a_canary_that_started_at_once_is_judged_side_by_side_and_the_gate_says_so(story: Story) -> None:
    """No device had a window before its switch; the devices are alike."""
    for agent in story.agents:
        is_treated = agent in story.treated
        story.windows(
            agent, story.new if is_treated else story.old, from_s=1, count=20, latency=10.0, errors=0.001,
            disagreement=0.0 if is_treated else None,
        )  # fmt: skip
    story.tick()
    latency = story.gates()["latency"]
    assert (latency.verdict, latency.control) == ("pass", "matched")
    assert f"side by side with {len(story.control)} control devices" in latency.text
    assert story.state() == "running"
    assert story.rollout.released_wave == 2


@pytest.mark.parametrize(("slower", "ends"), [(1.0, "running"), (3.0, "halted")])
def test_a_canary_with_a_short_past_is_judged_by_it(story: Story, slower: float, ends: str) -> None:
    for number, agent in enumerate(story.agents):
        is_treated, base = agent in story.treated, 3.0 * 1.5**number
        story.windows(agent, story.old, from_s=-16, count=5, latency=base)
        story.windows(
            agent, story.new if is_treated else story.old, from_s=1, count=20,
            latency=base * (slower if is_treated else 1.0), disagreement=0.0 if is_treated else None,
        )  # fmt: skip
    story.tick()
    latency = story.gates()["latency"]
    assert "each with its own past, as far as it goes" in latency.text
    assert story.state() == ends


def test_harm_also_stops_while_a_person_is_being_asked(story: Story) -> None:
    with advanced(timedelta(hours=2)):
        story.tick()
    assert story.state() == "needs_decision"
    story.report_all(latency=1.0, disagreement=0.2)
    Rollout.objects.filter(pk=story.rollout.pk).update(gates_at=None)
    story.tick()
    assert story.state() == "halted"


def test_after_a_person_resumes_a_halt_older_windows_do_not_count(
    door: Door, organization: Organization, operator: Person
) -> None:
    story = Story(door, organization, operator, rollback_on_halt=False)
    story.report_all(latency=1.0, disagreement=0.2)
    story.tick()
    assert story.state() == "halted"
    story.tick()
    assert story.state() == "halted", "the policy leaves it to a person"
    rollout_resume(caller=operator.caller, rollout_id=story.rollout.public_id, reason="the labels were wrong")
    story.tick()
    assert story.state() == "running"
    assert story.gates()["disagreement"].verdict == "missing_devices"


def test_evaluating_again_updates_the_newest_result_and_extends_its_series(story: Story) -> None:
    story.report_all(latency=1.0, disagreement=0.035, windows=12)
    story.tick()
    Rollout.objects.filter(pk=story.rollout.pk).update(gates_at=None)
    story.tick()
    row = GateResult.objects.get(rollout=story.rollout, wave=1, gate="disagreement")
    assert row.verdict in {"missing_devices", "not_enough_data"}, "too close to the ceiling to tell"
    assert len(row.data["difference"]["ts"]) == 2


def test_health_is_judged_against_its_own_history_and_control(
    door: Door, organization: Organization, operator: Person
) -> None:
    gate = {"name": "heat", "metric": "temperature", "harm_bound": 5.0, "minimum_samples": 10}
    story = Story(door, organization, operator, gates=[gate])
    switch_ms = int((now().timestamp() - AGO_S) * 1000)
    for agent in story.agents:
        hotter = 25.0 if agent in story.treated else 0.0
        offsets = [*range(-60, 0, 3), *range(3, 63, 3)]
        values = [40 + float(story.rng.normal(0, 1)) + (hotter if offset > 0 else 0) for offset in offsets]
        health = Health(ts_ms=[switch_ms + offset * 1000 for offset in offsets], temperature_c=values)
        batch_store(Sender(agent.device, "", ""), health=health)
    story.tick()
    assert story.state() == "halted"
    assert story.gates()["heat"].control == "matched"
