"""``kill -9`` of one process after another during a rollout: each comes back, the rollout goes on, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from demo.client import Json
from tests.resilience.ledger import agent_disagreements, stored_rows
from tests.resilience.site import AGENT, Site, open_site, until
from tests.soak.plugin import Soak, is_long_run

SUPERVISED = ("postgres", "web", "worker-main", "worker-artifacts", "beat")
POOLS = {"pool of worker-main": "worker-main", "pool of worker-artifacts": "worker-artifacts"}
VICTIMS = (*SUPERVISED, *POOLS, "agent", "backend")
DEVICES, DEVICES_IN_LONG_RUN = 8, 40
# A rollout that waits for every device, and for nothing else.
POLICY: Json = {
    "canary_percent": 20,
    "waves": [60, 100],
    "holdout_percent": 0,
    "cover_strata": False,
    "soak_s": 2,
    "evidence_required": "attested",
    "gate_interval_s": 1,
    "proven_percent": 100,
    "max_failed_percent": 100,
    "timeouts": {"progress_s": 120, "proof_s": 120},
    "gates": [{"name": "errors", "metric": "error_rate", "ceiling": 0.5, "minimum_devices": 1, "is_optional": True}],
}


async def kill(site: Site, victim: str) -> None:
    """Kill a process, and wait until another has taken its place and the server takes work."""
    if victim == "agent":
        (agent,) = site.devices.agents.values()
        before = agent.process
        assert before is not None
        os.kill(before.pid, signal.SIGKILL)
        await until(_answer(lambda: agent.process is not before))
    elif victim == "backend":
        postmaster = psutil.Process(site.installation.pid("postgres"))
        backends: list[psutil.Process] = await until(_answer(lambda: _backends(postmaster)))
        backends[0].kill()
        # The database ends all sessions, recovers, and serves new ones.
        await until(_answer(lambda: (now := set(_backends(postmaster))) and now.isdisjoint(backends)))
    else:
        supervised = POOLS.get(victim, victim)
        pid = site.installation.pid(supervised)
        restarts = site.installation.report()["processes"][supervised]["restarts"]
        if victim in POOLS:  # the worker is started again with it
            (process,) = await until(_answer(lambda: _pool(psutil.Process(pid))))
            process.kill()
        else:
            os.kill(pid, signal.SIGKILL)

        def is_back() -> bool:
            now = site.installation.report()["processes"][supervised]
            return now["restarts"] > restarts and now["pid"] is not None

        await until(_answer(is_back))

    await until(site.is_ready)
    slot = site.agent_slot()
    assert slot is not None
    assert slot.is_sound()


def _answer(condition: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def answer() -> object:
        return condition()

    return answer


def _pool(worker: psutil.Process) -> list[psutil.Process]:
    """Who does a worker's tasks."""
    return [child for child in worker.children() if _command(child) == _command(worker)]


def _backends(postmaster: psutil.Process) -> list[psutil.Process]:
    """Who serves the database's sessions: killing one makes the database end all of them, and recover."""
    return [child for child in postmaster.children() if " flotilla flotilla " in " ".join(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []  # it has ended


@pytest.mark.soak("kills")
@pytest.mark.timeout(14_400 if is_long_run() else 300)
# The demo starts its agents from one thread; here others look at files meanwhile.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_whatever_is_killed_comes_back_and_nothing_is_lost(folder: Path, soak: Soak) -> None:
    async with open_site(folder, simulated=DEVICES_IN_LONG_RUN if is_long_run() else DEVICES) as site:
        try:
            await live_through(site, soak)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{site.said()}") from error


async def live_through(site: Site, soak: Soak) -> None:
    """Roll out a first version in peace, and others while processes are killed; then count."""
    await site.publish("1.0.0")
    first = await site.roll_out("1.0.0", "first", {**POLICY, "gates": []}, strategy="all_at_once")
    await site.publish("1.1.0")
    assert (await site.ended(first))["state"] == "completed"

    for number in range(1, soak.scale + 1):
        version = "1.1.0" if number % 2 else "1.0.0"
        await roll_out_under_fire(site, soak, version, number)

    for device in [entry async for entry in site.api.pages("devices/", limit=200)]:
        assert [(one["model"], one["version"], one["evidence"]) for one in device["installed"]] == [
            ("digits", version, "attested")
        ], device
    slot = site.agent_slot()
    assert slot is not None
    assert (slot.record.version, slot.is_sound()) == (version, True)
    jobs = [job async for job in site.api.pages("jobs/", limit=200)]
    soak.count("jobs taken over", sum(job["attempt"] > 1 for job in jobs))
    assert [job for job in jobs if job["state"] != "done"] == []
    await count_telemetry(site, soak)


async def roll_out_under_fire(site: Site, soak: Soak, version: str, number: int) -> None:
    """One rollout, and every kind of process killed once before it may end."""
    rollout = await site.roll_out(version, f"round {number}", POLICY, strategy="canary")
    # One device of the last wave is away until all kills are done: the rollout is under way at each of them.
    planned = await until(lambda: site.deployments(rollout))
    waves = {entry["device"]["controller_id"]: entry["wave"] for entry in planned}
    assert len(waves) == len(site.devices.members), waves
    away = max(site.devices.simulated.values(), key=lambda device: waves[device.controller_id])
    away.faults.is_offline = True

    other = f"1.2.{number}"  # validated meanwhile, so that a job is under way as well
    publishing = asyncio.create_task(site.publish(other))

    async def is_being_validated() -> bool:
        return bool((await site.api.get("jobs/", state="running"))["results"]) or publishing.done()

    await until(is_being_validated)
    rest = [victim for victim in VICTIMS if victim != "worker-artifacts"]
    for victim in ["worker-artifacts", *soak.random.sample(rest, len(rest))]:
        assert (await site.rollout(rollout))["state"] == "running"
        await kill(site, victim)
        soak.count(f"kills of {victim}")
    away.faults.is_offline = False

    ended = await site.ended(rollout, deadline_s=180)
    assert (ended["state"], ended["halt_reason"]) == ("completed", None)
    deployments = await site.deployments(rollout)
    assert len(deployments) == len(site.devices.members)
    assert {(entry["state"], entry["evidence"]) for entry in deployments} == {("proven", "attested")}
    assert (await publishing)["approval"] == "approved"


async def count_telemetry(site: Site, soak: Soak) -> None:
    """Every acknowledged row is stored, and no row twice."""
    await site.stop_devices()
    stored = stored_rows(site.cluster)
    ledger = site.ledger
    assert ledger.acknowledged
    assert {row for row, count in stored.items() if count > 1} == set()
    assert (ledger.lost(stored), ledger.unknown(stored)) == (set(), set())
    assert any(row[1] == AGENT for row in stored)
    assert agent_disagreements(site.cluster, AGENT, site.agent_folder) == []
    soak.count("rows acknowledged", len(ledger.acknowledged))
    soak.count("rows sent again or lost on the way", len(ledger.sent - ledger.acknowledged))
    soak.count("rows of the agent", sum(row[1] == AGENT for row in stored))
