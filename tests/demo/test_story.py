"""The story, told by the real processes to the real product: fewer devices, nothing else shortened."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from config.embedded.family import family
from config.embedded.state import ROOT
from demo.digits import main as write_digits
from demo.join import agent_command
from demo.world import DRIFTING_REGION, NEIGHBOUR_DEVICE, X86_GATEWAY
from tests.story import AGENTS, GROUP, SIMULATED_DEVICES, Told, eventually_slowly

pytestmark = [pytest.mark.xdist_group(GROUP), pytest.mark.timeout(900)]


def eventually(condition: Callable[[], Any], *, deadline_s: float = 90) -> None:
    eventually_slowly(condition, deadline_s=deadline_s, said=lambda: "")


def _agents(story: Told) -> list[psutil.Process]:
    return [
        process
        for process in family(story.installation.report()["run"])
        if "flotilla_agent" in process.cmdline() and "run" in process.cmdline()
    ]


def _rollout(story: Told, version: str) -> dict[str, object]:
    found = [entry for entry in story.get("rollouts/", model="digits")["results"] if entry["version"] == version]
    assert len(found) == 1, "a restart must not roll out a second time"
    rollout: dict[str, object] = found[0]
    return rollout


def test_every_device_joined_and_is_online(story: Told) -> None:
    summary = story.get("devices/summary/")
    assert summary["total"] >= SIMULATED_DEVICES + AGENTS
    assert {entry["region"] for entry in summary["by_region"]} == {"eu-north", "eu-west", "us-east"}
    assert all(site["latitude_deg"] is not None for site in summary["by_site"])


def test_the_first_version_went_to_all_and_the_better_one_by_canary(story: Told) -> None:
    first, better = _rollout(story, "1.0.0"), _rollout(story, "1.1.0")
    assert first["state"] == better["state"] == "completed"
    waves = better["waves"]
    assert isinstance(waves, list)
    assert [wave["number"] for wave in waves] == [1, 2]
    assert waves[0]["device_count"] < waves[1]["device_count"]
    canary = story.get("deployments/", rollout=better["id"], wave=1, limit=200)["results"]
    real = [entry for entry in canary if entry["device"]["controller_id"].startswith("agent-")]
    assert real, "no real agent in the canary"
    assert all(entry["evidence"] == "attested" for entry in canary if entry["state"] == "proven")


def test_the_bad_version_was_stopped_in_the_canary_by_a_gate_and_taken_back(story: Told) -> None:
    bad = _rollout(story, "1.2.0")
    assert bad["state"] == "rolled_back"
    reason = bad["halt_reason"]
    assert isinstance(reason, dict)
    assert reason["metric"] in {"disagreement", "latency_p95"}
    assert reason["gate"]
    assert reason["text"]
    waves = bad["waves"]
    assert isinstance(waves, list)
    assert waves[1]["released_at"] is None
    running = [
        entry["version"]
        for device in story.get("devices/", limit=200)["results"]
        for entry in device["installed"]
        if entry["model"] == "digits"
    ]
    assert "1.2.0" not in running


def test_drift_shows_in_the_drifting_region_and_nowhere_else(story: Told) -> None:
    alerts = story.get("alerts/", state="open", limit=200)["results"]
    assert {alert["subject"]["region"] for alert in alerts if alert["rule"]["kind"] == "drift"} == {DRIFTING_REGION}
    step = story.step("drift")
    assert step is not None
    assert f"region={DRIFTING_REGION}" in (step["link"] or "")


def test_the_neighbour_owns_one_device_and_sees_nothing_else(story: Told) -> None:
    devices = story.neighbour.get("/api/v1/devices/").json()["results"]
    assert [device["controller_id"] for device in devices] == [NEIGHBOUR_DEVICE]
    for path in ("models/", "versions/", "rollouts/", "deployments/", "alerts/"):
        assert story.neighbour.get(f"/api/v1/{path}").json()["results"] == [], path
    assert story.neighbour.get("/api/v1/tour/").status_code == 404
    ours = {device["controller_id"] for device in story.get("devices/", limit=200)["results"]}
    assert NEIGHBOUR_DEVICE not in ours
    other = story.get("devices/", limit=1)["results"][0]["id"]
    assert story.neighbour.get(f"/api/v1/devices/{other}/").status_code == 404


def test_a_killed_agent_is_started_again(story: Told) -> None:
    agents = _agents(story)
    assert len(agents) >= AGENTS
    victim = agents[0]
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: victim.pid not in {process.pid for process in _agents(story)} and len(_agents(story)) >= AGENTS)


def test_a_killed_story_goes_on_where_it_was(story: Told) -> None:
    restarts = story.installation.report()["processes"]["demo"]["restarts"]
    os.kill(story.installation.pid("demo"), signal.SIGKILL)
    eventually(lambda: story.installation.report()["processes"]["demo"]["restarts"] > restarts)

    def is_over() -> bool:
        answer = story.api.get("/api/v1/tour/")
        return answer.is_success and all(step["state"] == "done" for step in answer.json()["steps"])

    eventually(is_over, deadline_s=120)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        _rollout(story, version)
    eventually(lambda: len(_agents(story)) >= AGENTS)


def test_device_64_joins_by_one_line(story: Told) -> None:
    line = [sys.executable, "-m", "demo.join", "device-64", "--demo-json", str(story.installation.state.demo_json)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as agent:
        try:
            assert agent.stdout is not None
            assert agent.stdout.readline().startswith("+ flotilla-agent run --server http")

            def is_online() -> bool:
                found = story.get("devices/", search="device-64")["results"]
                return (
                    bool(found) and found[0]["is_online"] and found[0]["hardware_profile"]["name"] == X86_GATEWAY.name
                )

            eventually(is_online)
        finally:
            agent.terminate()
            agent.stdout.read()
    again = agent_command(
        story.installation.state.demo_json, "device-64", profile=X86_GATEWAY.name, site="Oslo Storgata"
    )
    assert "--token" not in again, "a second start needs no token"


def _readme_block(first_line: str) -> str:
    """A fenced block of the README, by how it begins."""
    blocks = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1::2]
    found = [block.partition("\n")[2] for block in blocks if block.partition("\n")[2].startswith(first_line)]
    assert len(found) == 1, f"the README has {len(found)} blocks that begin with {first_line}"
    return found[0]


def test_the_readmes_line_for_device_64_is_the_one_that_is_tested() -> None:
    assert _readme_block(".venv/bin/python -m demo.join") == ".venv/bin/python -m demo.join device-64\n"


def test_the_readmes_walk_through_with_the_api_ships_ones_own_model(story: Told, tmp_path: Path) -> None:
    version, folder = shlex.split(_readme_block(".venv/bin/python -m demo.digits"))[3:]
    assert write_digits([version, str(tmp_path / folder)]) == 0
    (tmp_path / ".flotilla").symlink_to(story.installation.state.root)
    walk = subprocess.run(
        ["/bin/sh", "-eu", "-c", _readme_block("url=")],
        cwd=tmp_path,
        env={**os.environ, "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert walk.returncode == 0, walk.stdout + walk.stderr
    assert walk.stdout.strip() in {"scheduled", "planning", "running"}
    rollout = story.get("rollouts/", model="my-digits")["results"][0]
    assert rollout["version"] == "1.3.0"
    assert rollout["name"] == "my first"
    story.post(f"rollouts/{rollout['id']}/cancel/", {"reason": "the walk-through ends here"})
    eventually(lambda: story.get(f"rollouts/{rollout['id']}/")["state"] == "cancelled")


def test_a_site_is_cut_off_and_comes_back(story: Told) -> None:
    def offline() -> int:
        return int(story.get("devices/summary/")["offline"])

    story.post("tour/actions/cut_site/")
    eventually(lambda: (step := story.step("cut")) is not None and step["state"] == "running")
    refused = story.api.post("/api/v1/tour/actions/cut_site/")
    assert refused.status_code == 409
    eventually(lambda: offline() > 0, deadline_s=90)
    story.wait_for_step("cut", deadline_s=120)
