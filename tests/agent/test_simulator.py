"""Simulated devices on a protocol-true control plane: the good way, each fault, and what a restart
remembers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from flotilla_agent.inference.perturbation import Perturbation
from flotilla_agent.simulator import DataSet, Fleet, FleetOptions, SimulatedDevice
from flotilla_protocol.messages import InferenceReport
from tests.simulator_server.models import pictures, publish
from tests.simulator_server.plane import TENANT, ControlPlane, Device

V1 = publish("1.0", seed=1)
V2 = publish("1.1", seed=2)
CID = "simulated-1"


class World:
    """A plane, a fleet of one or more, and a clock that tests move."""

    def __init__(self, folder: Path) -> None:
        self.plane = ControlPlane()
        self.plane.publish(V1)
        self.plane.publish(V2)
        self.folder = folder
        self.at = datetime.now(UTC)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.plane.app))
        self.fleet = self.new_fleet()
        self.device = self.fleet.add(CID, profile="simulated", token=self.plane.token(), rate_hz=50.0)

    def new_fleet(self, **options: object) -> Fleet:
        return Fleet(
            server=self.plane.url,
            tenant=TENANT,
            data=DataSet.of(pictures()),
            folder=self.folder,
            http=self.http,
            seed=11,
            now=lambda: self.at,
            options=FleetOptions(full_verifications=2, **options),
        )

    @property
    def known(self) -> Device:
        return self.plane.devices[CID]

    async def tick(self, device: SimulatedDevice | None = None, *, seconds: float = 2.0) -> None:
        self.at += timedelta(seconds=seconds)
        await (device or self.device).step()

    async def install(self, published: object = V1, **how: object) -> None:
        if CID not in self.plane.devices:
            await self.tick()
        action = self.plane.order(CID, published, **how)
        await self.tick()
        assert action.result == "success", (action.details, self.device.last_error)
        await self.tick()

    def windows(self, version: str) -> list[InferenceReport]:
        return [w for batch in self.known.batches for w in batch.windows if w.version == version]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.http.aclose()


async def test_it_joins_updates_and_proves_tick_by_tick(world: World) -> None:
    await world.tick()
    assert world.known.hardware_profile == "simulated"
    action = world.plane.order(CID, V1, soak_s=3.0)
    await world.tick()
    assert (action.state, action.result) == ("closed", "success")
    assert world.known.reports[-1].soak.clean is None
    await world.tick()
    await world.tick()
    report = world.known.reports[-1]
    assert (report.running[0].digest, report.self_test, report.soak.clean) == (V1.digest, "passed", True)


async def test_a_removed_model_is_reported_gone_and_health_goes_on(world: World) -> None:
    await world.install()
    action = world.plane.order(CID, V1, kind="remove")
    await world.tick()
    await world.tick()
    assert (action.result, action.details) == ("success", ["The model is removed."])
    report = world.known.reports[-1]
    assert (report.action_number, report.running, report.self_test) == (action.number, [], "not_run")
    await world.tick()
    assert world.known.batches[-1].health is not None
    assert world.known.batches[-1].windows == []
    await world.install(V2)
    assert world.known.reports[-1].running[0].version == "1.1"


async def test_an_order_it_cannot_read_is_answered(world: World) -> None:
    await world.install()
    action = world.plane.order(CID, V2)
    world.plane.leaves_out_files = True
    await world.tick()
    assert (action.result, action.details[0]) == ("failure", "unsupported_deployment")


async def test_an_unchanged_poll_is_answered_by_304(world: World) -> None:
    for _ in range(4):
        await world.tick()
    assert world.known.unchanged_count >= 1


async def test_windows_are_drawn_from_real_outputs(world: World) -> None:
    await world.install()
    await world.tick(seconds=4.0)
    window = world.windows("1.0")[-1]
    assert window.inference_count == 200
    assert window.window_s == pytest.approx(4.0)
    assert window.digest == V1.digest
    assert window.latency_ms_p95 is not None
    assert window.latency_ms_p95 > 0
    features = {sketch.feature: sketch for sketch in window.sketches}
    assert features.keys() == {"brightness", "contrast", "sharpness", "confidence", "margin", "class"}
    assert all(sketch.total == 200 for sketch in window.sketches)
    # The reference was cut from the same pictures: hardly anything falls outside its edges.
    assert features["brightness"].below + features["brightness"].above == 0


async def test_in_probation_disagreement_is_that_of_the_two_models_on_the_same_rows(world: World) -> None:
    await world.install(V1)
    await world.install(V2, soak_s=100.0, shadow_every=1)
    await world.tick(seconds=20.0)
    window = world.windows("1.1")[-1]
    library = world.fleet.library
    old = await library.outputs(V1.digest, world.device.record.previous["shapes"].manifest_digest)
    new = await library.outputs(V2.digest, world.device.record.running["shapes"].manifest_digest)
    assert old.classes is not None
    assert new.classes is not None
    expected = float((old.classes != new.classes).mean())
    assert window.shadow_count == window.inference_count == 1000
    assert window.shadow_disagreement_count / window.shadow_count == pytest.approx(expected, abs=0.06)


async def test_sequences_rise_by_one_and_survive_a_restart_without_being_used_twice(world: World) -> None:
    for _ in range(3):
        await world.tick()
    assert [batch.sequence for batch in world.known.batches] == [1, 2, 3]
    again = world.new_fleet().add(CID, profile="simulated")
    await world.tick(again)
    assert world.known.batches[-1].sequence > 3
    assert len(world.known.batches) == 4


async def test_a_restarted_fleet_remembers_keys_and_versions(world: World) -> None:
    await world.install()
    again = world.new_fleet().add(CID, profile="simulated")
    await world.tick(again)
    await world.tick(again)
    assert again.last_error is None
    assert world.known.reports[-1].running[0].version == "1.0"
    assert world.windows("1.0")


async def test_offline_devices_keep_their_windows_and_send_them_in_order_later(world: World) -> None:
    await world.install()
    before = len(world.known.batches)
    world.device.faults.is_offline = True
    requests = world.device.wire.request_count
    for _ in range(3):
        await world.tick()
    assert world.device.last_error is not None
    assert world.device.wire.request_count == requests
    assert world.device.telemetry.waiting == 3
    world.device.faults.is_offline = False
    await world.tick()
    assert world.device.telemetry.waiting == 0
    sequences = [batch.sequence for batch in world.known.batches]
    assert len(sequences) == before + 4
    assert sequences == sorted(sequences)


async def test_a_corrupt_download_is_refused(world: World) -> None:
    await world.install()
    world.device.faults.corrupts_download = True
    action = world.plane.order(CID, V2)
    await world.tick()
    assert action.details[0] == "digest_mismatch"
    assert world.known.reports[-1].running[0].version == "1.0"


async def test_a_truncated_download_is_tried_again(world: World) -> None:
    await world.tick()
    world.device.faults.truncates_download = True
    action = world.plane.order(CID, V1)
    await world.tick()
    assert action.state == "open"
    world.device.faults.truncates_download = False
    await world.tick()
    assert action.result == "success"


async def test_a_slow_line_takes_its_time(world: World) -> None:
    await world.tick()
    world.device.faults.download_bytes_s = len(V1.manifest_file) * 8
    world.plane.order(CID, V1)
    started = time.monotonic()
    await world.tick()
    assert time.monotonic() - started > 0.1


async def test_a_failing_self_test_is_refused(world: World) -> None:
    await world.install()
    world.device.faults.fails_self_test = True
    action = world.plane.order(CID, V2)
    await world.tick()
    assert action.details[0] == "self_test_failed"
    assert world.known.reports[-1].self_test == "failed"


async def test_a_real_failing_self_test_is_refused(world: World) -> None:
    await world.tick()
    bad = world.plane.publish(publish("1.3", seed=3, wrong_self_test=True))
    action = world.plane.order(CID, bad)
    await world.tick()
    assert action.details[0] == "self_test_failed"


async def test_expired_metadata_is_refused(world: World) -> None:
    await world.tick()
    world.plane.repository.expire()
    action = world.plane.order(CID, V1)
    await world.tick()
    assert action.details[0] == "signature_invalid"


@pytest.mark.parametrize("phase", ["downloading", "verifying", "installing"])
async def test_a_stalled_update_says_its_phase_and_can_be_cancelled(world: World, phase: str) -> None:
    await world.install()
    world.device.faults.stalls_at = phase  # type: ignore[assignment]
    action = world.plane.order(CID, V2)
    await world.tick()
    assert action.feedback[-1] == ("proceeding", "none", [phase])
    action.state = "cancelling"
    await world.tick()
    assert action.result == "cancelled"
    assert world.known.reports[-1].running[0].version == "1.0"


async def test_a_stalled_update_goes_on_when_the_fault_is_cleared(world: World) -> None:
    await world.tick()
    world.device.faults.stalls_at = "installing"
    action = world.plane.order(CID, V1)
    await world.tick()
    world.device.faults.stalls_at = None
    await world.tick()
    assert action.result == "success"


async def test_a_candidate_that_fails_in_probation_is_taken_back_and_reported(world: World) -> None:
    await world.install(V1)
    world.plane.order(CID, V2, soak_s=600.0)
    world.device.faults.fails_in_probation = True
    for _ in range(5):
        await world.tick()
    report = world.known.reports[-1]
    assert (report.running[0].version, report.soak.clean) == ("1.0", False)
    assert sum(window.error_count for window in world.windows("1.1")) > 0


async def test_a_device_that_only_claims_is_given_away_by_its_report(world: World) -> None:
    await world.install(V1)
    world.device.faults.claims_only = True
    action = world.plane.order(CID, V2)
    await world.tick()
    await world.tick()
    assert action.result == "success"
    assert world.known.reports[-1].running[0].digest == V1.digest


async def test_a_device_can_lie_about_version_and_digest(world: World) -> None:
    await world.install(V1)
    world.device.faults.lies_about_version = "9.9"
    world.device.faults.lies_about_digest = "f" * 64
    await world.device.report()
    running = world.known.reports[-1].running[0]
    assert (running.version, running.digest) == ("9.9", "f" * 64)


async def test_drift_changes_what_the_model_really_answers(world: World) -> None:
    await world.install(V1)
    await world.tick(seconds=10.0)
    usual = world.windows("1.0")[-1]
    world.device.faults.drift = Perturbation(contrast=0.3, noise=0.02)
    await world.tick(seconds=10.0)
    drifted = world.windows("1.0")[-1]

    def below(window: InferenceReport) -> int:
        return next(sketch.below for sketch in window.sketches if sketch.feature == "contrast")

    assert below(usual) == 0
    assert below(drifted) > 0.9 * drifted.inference_count
    assert _classes(drifted) != pytest.approx(_classes(usual), abs=0.05)


def _classes(window: InferenceReport) -> list[float]:
    sketch = next(sketch for sketch in window.sketches if sketch.feature == "class")
    return [count / sketch.total for count in sketch.counts]


async def test_after_the_first_devices_of_a_version_verified_it_others_share_the_bytes(world: World) -> None:
    devices = [world.fleet.add(f"many-{index}", profile="simulated", token=world.plane.token()) for index in range(6)]
    assert await world.fleet.step_all(devices) == []
    for device in devices:
        world.plane.order(device.controller_id, V1)
    assert await world.fleet.step_all(devices) == []
    assert all(world.plane.devices[device.controller_id].actions[0].result == "success" for device in devices)
    assert world.plane.bytes_sent == 2 * (len(V1.file) + len(V1.manifest_file))


async def test_a_restore_brings_the_version_before_back(world: World) -> None:
    await world.install(V1)
    await world.install(V2)
    await world.install(V1, kind="restore")
    assert world.known.reports[-1].running[0].version == "1.0"


async def test_a_lost_answer_to_the_closing_is_made_up_for(world: World) -> None:
    await world.tick()
    action = world.plane.order(CID, V1)
    world.device.faults.stalls_at = "installing"
    await world.tick()
    world.device.faults.stalls_at = None
    world.plane.is_down = True
    await world.tick()
    assert world.device.last_error is not None
    world.plane.is_down = False
    await world.tick()
    assert action.result == "success"


async def test_a_fleet_lives_by_itself_until_it_is_stopped(world: World, tmp_path: Path) -> None:
    world.plane.poll_interval_s = world.plane.window_interval_s = 0.05
    fleet = Fleet(
        server=world.plane.url,
        tenant=TENANT,
        data=DataSet.of(pictures()),
        folder=tmp_path / "living",
        http=world.http,
        options=FleetOptions(first_poll_within_s=0.05),
    )
    for index in range(5):
        fleet.add(f"living-{index}", profile="simulated", token=world.plane.token())
    stop = asyncio.Event()
    life = asyncio.create_task(fleet.run(stop))
    deadline = time.monotonic() + 20
    while not all(world.plane.devices.get(cid) and len(world.plane.devices[cid].batches) > 2 for cid in fleet.devices):
        assert time.monotonic() < deadline
        assert not life.done()
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(life, 5)
