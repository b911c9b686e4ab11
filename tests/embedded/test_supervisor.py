"""``make demo`` from the outside: starts, resumes, heals, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from pathlib import Path

import psutil
import pytest

from config.embedded.postgres import Cluster
from config.embedded.processes import free_port
from tests.embedded.installation import RunningInstallation, eventually
from tests.soak.plugin import Soak, is_long_run

pytestmark = pytest.mark.timeout(180)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_says_where_it_is_and_keeps_its_secrets_to_itself(ready: RunningInstallation) -> None:
    content = ready.wait_until_ready()

    assert content == {
        "url": f"http://127.0.0.1:{ready.port}",
        "username": "admin",
        "password": "secret",
        "api_token": "flt_x",
    }
    assert mode(ready.state.root) == 0o700
    assert mode(ready.state.demo_json) == 0o600
    for file in ready.state.secrets.iterdir():
        assert mode(file) == 0o600
    for folder in (ready.state.secrets, ready.state.keys, ready.state.artifacts, ready.state.postgres):
        assert mode(folder) == 0o700


def test_one_ctrl_c_ends_every_process_even_the_stubborn(ready: RunningInstallation) -> None:
    eventually(lambda: len(ready.processes()) >= 8)  # with the database's own, and the one that left its session

    ready.press_ctrl_c()
    status, output = ready.wait()

    assert status == 0
    assert "nothing is left running" in output
    assert ready.processes() == []
    assert not ready.state.demo_json.exists()


def test_a_second_ctrl_c_does_not_wait_for_anybody(ready: RunningInstallation) -> None:
    stubborn = psutil.Process(ready.pid("stubborn"))
    ready.press_ctrl_c()
    ready.press_ctrl_c()
    ready.wait(deadline_s=20)
    assert not stubborn.is_running()
    assert ready.processes() == []


@pytest.mark.parametrize("name", ["web", "stubborn", "story"])
def test_a_killed_process_is_started_again_without_its_leftovers(ready: RunningInstallation, name: str) -> None:
    before = ready.pid(name)

    os.kill(before, signal.SIGKILL)

    eventually(lambda: ready.report()["processes"][name]["restarts"] == 1)
    assert ready.pid(name) != before


def test_a_killed_database_comes_back_and_the_others_stay(ready: RunningInstallation) -> None:
    database, web = ready.pid("postgres"), ready.pid("web")

    os.kill(database, signal.SIGKILL)

    eventually(lambda: ready.report()["processes"]["postgres"]["restarts"] == 1)
    assert ready.pid("web") == web


@pytest.mark.soak("supervisor_kills")
@pytest.mark.timeout(14_400 if is_long_run() else 180)  # one killed often waits up to half a minute for its restart
def test_whatever_is_killed_in_whatever_order_comes_back(ready: RunningInstallation, soak: Soak) -> None:
    names = ["postgres", "web", "stubborn", "story"]
    for _ in range(4 * soak.scale):
        name = soak.random.choice(names)
        victim = ready.pid(name)
        before = ready.report()["processes"][name]["restarts"]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda name=name, before=before: ready.report()["processes"][name]["restarts"] > before)
        soak.count(name)
    ready.press_ctrl_c()
    ready.wait()
    assert ready.processes() == []


def test_nothing_survives_a_killed_supervisor(ready: RunningInstallation) -> None:
    assert ready.process is not None
    eventually(lambda: len(ready.processes()) >= 8)

    ready.process.kill()

    eventually(lambda: ready.processes() == [])
    assert not ready.state.demo_json.exists()


def test_nothing_supervised_survives_when_the_reaper_is_killed_as_well(ready: RunningInstallation) -> None:
    """Even then the next start finds a clean house: it ends what is left before it begins."""
    assert ready.process is not None
    run = ready.report()["run"]
    reapers = [process for process in ready.processes() if run in process.cmdline()]
    assert len(reapers) == 1
    reapers[0].kill()
    ready.process.kill()
    ready.process.communicate()

    ready.start()
    ready.wait_until_ready()

    assert ready.report()["run"] != run
    assert not [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("FLOTILLA_RUN") == run]


def test_a_second_start_resumes_with_the_same_login(ready: RunningInstallation) -> None:
    secret = (ready.state.secrets / "secret_key").read_text()
    ready.press_ctrl_c()
    ready.wait()

    ready.start()
    ready.wait_until_ready(deadline_s=10)

    assert (ready.state.secrets / "secret_key").read_text() == secret
    ready.press_ctrl_c()
    _, output = ready.wait()
    assert "First organization" not in output


def test_reset_starts_over(ready: RunningInstallation) -> None:
    secret = (ready.state.secrets / "secret_key").read_text()
    (ready.state.artifacts / "old").touch()
    ready.press_ctrl_c()
    ready.wait()

    ready.start(RESET="1")
    ready.wait_until_ready()

    assert not (ready.state.artifacts / "old").exists()
    assert (ready.state.secrets / "secret_key").read_text() != secret


def test_it_starts_after_a_power_loss(ready: RunningInstallation) -> None:
    """Stale files of a machine that went dark: process numbers in them belong to others now."""
    ready.press_ctrl_c()
    ready.wait()
    somebody = os.getpid()
    (ready.state.root / "supervisor.lock").write_text(f"{somebody}\n")
    (ready.state.postgres / "postmaster.pid").write_text(
        f"{somebody}\n{ready.state.postgres}\n1700000000\n5432\n/nowhere\n\n 1 1\nready\n"
    )
    ready.state.processes_json.write_text(json.dumps({"run": "gone", "processes": {"web": {"pid": somebody}}}))
    ready.state.demo_json.write_text("{}")

    ready.start()
    content = ready.wait_until_ready()

    assert content["username"] == "admin"
    assert ready.report()["processes"]["web"]["restarts"] == 0


def test_a_second_start_of_the_same_installation_is_refused_in_one_line(ready: RunningInstallation) -> None:
    other = RunningInstallation(ready.state.root)
    other.start()
    status, output = other.wait()
    assert status == 1
    assert "runs already" in output
    assert len(output.splitlines()) == 1
    assert ready.pid("web")


def test_a_second_installation_runs_beside_the_first(ready: RunningInstallation, folder: Path) -> None:
    second = RunningInstallation(folder / "second state")
    second.start()
    try:
        assert second.wait_until_ready()["url"] != ready.wait_until_ready()["url"]
    finally:
        second.end()


def test_a_path_too_long_for_a_socket_works_and_leaves_nothing_elsewhere(folder: Path) -> None:
    deep = RunningInstallation(folder / ("deep " * 20) / ("deeper " * 10) / "state")
    deep.state.root.parent.mkdir(parents=True)
    deep.start()
    try:
        deep.wait_until_ready()
        os.kill(deep.pid("postgres"), signal.SIGKILL)
        eventually(lambda: deep.report()["processes"]["postgres"]["restarts"] == 1)
        sockets = Cluster(deep.state.postgres).socket_folder
        assert folder not in sockets.parents
        deep.press_ctrl_c()
        deep.wait()
        assert not sockets.exists()
    finally:
        deep.end()


def test_a_taken_port_is_one_clear_line(installation: RunningInstallation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        installation.port = taken.getsockname()[1]
        installation.start()
        status, output = installation.wait()
    assert status == 1
    assert len(output.splitlines()) == 1
    assert f"port {installation.port}" in output
    assert "FLOTILLA_PORT=" in output


def test_a_folder_that_cannot_be_made_is_one_clear_line(installation: RunningInstallation) -> None:
    installation.state.root.write_text("a file, not a folder")
    installation.start()
    status, output = installation.wait()
    assert status == 1
    assert output.startswith(f"flotilla: cannot write to {installation.state.root}")
    assert len(output.splitlines()) == 1
