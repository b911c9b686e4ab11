"""The supervisor's parts one by one: locks, secrets, logs, addresses, what a child inherits."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.embedded import logs
from config.embedded.child import Child, describe_end, spawn
from config.embedded.console import StartError, last_line
from config.embedded.credentials import login_load, login_store, secret_file
from config.embedded.family import end_family, family
from config.embedded.postgres import SOCKET_PATH_LIMIT, Cluster
from config.embedded.processes import Address, ProcessSpec, free_port, process_table, product_environment
from config.embedded.state import Lock, State, read_json, write_private
from config.env import database_address, store_addresses
from tests.embedded.installation import eventually


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state, with a comma")
    made.prepare()
    return made


def test_a_lock_has_one_holder_and_a_file_alone_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("12345\n")
    first, second = Lock(path), Lock(path)
    assert first.acquire()
    assert first.holder() == os.getpid()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_an_heir_keeps_the_lock_until_it_ends(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert lock.acquire()
    with subprocess.Popen(["sleep", "60"], pass_fds=(lock.descriptor,)) as heir:
        lock.release()
        assert not Lock(lock.path).acquire()
        heir.kill()
    again = Lock(lock.path)
    assert again.acquire(patience_s=5)
    again.release()


def test_a_private_file_is_replaced_whole_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)
    assert read_json(path) == {}


def test_each_installation_has_a_secret_of_its_own_that_stays(state: State, tmp_path: Path) -> None:
    first = secret_file(state, "secret_key").read_text()
    other = State(tmp_path / "other")
    other.prepare()
    assert secret_file(state, "secret_key").read_text() == first
    assert secret_file(other, "secret_key").read_text() != first
    assert len(first) >= 64


def test_a_login_that_is_incomplete_or_damaged_is_made_anew(state: State) -> None:
    with pytest.raises(ValueError, match="password"):
        login_store(state, b'{"organization": "a", "username": "b"}')
    assert login_load(state) is None
    login = login_store(state, b'{"organization": "a", "username": "b", "password": "c", "api_token": "d"}')
    assert login_load(state) == login


def test_a_log_that_grows_keeps_one_older_page_and_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    writer = logs.open_log(path)
    try:
        os.write(writer, b"first page\n" * 10)
        assert not logs.rotate(path, limit_bytes=1000)
        assert logs.rotate(path, limit_bytes=50)
        os.write(writer, b"second page\n")
    finally:
        os.close(writer)
    assert path.read_bytes() == b"second page\n"
    assert path.with_suffix(".log.1").read_bytes() == b"first page\n" * 10
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_the_last_line_of_a_log_has_no_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("first\n50 %\r100 % \x1b[31mdone\x1b[0m\n\n")
    assert last_line(path) == "100 % [31mdone[0m"
    assert last_line(tmp_path / "absent") == ""


def test_an_address_in_use_is_refused_with_advice() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port}.*FLOTILLA_PORT="):
            Address("127.0.0.1", port).check_free()


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(StartError, match=r"192\.0\.2\.1"):
        Address("192.0.2.1", free_port()).check_free()


def test_a_server_on_loopback_answers_to_no_invented_name() -> None:
    assert Address("127.0.0.1", 8000).allowed_hosts() == ["127.0.0.1", "[::1]", "localhost"]
    assert Address("127.0.0.1", 8000).url == "http://127.0.0.1:8000"
    assert Address("::1", 8000).url == "http://[::1]:8000"
    assert "*" not in Address("0.0.0.0", 8000).allowed_hosts()
    assert socket.gethostname().lower() in Address("0.0.0.0", 8000).allowed_hosts()


def test_a_path_too_long_for_a_socket_gets_a_short_private_one() -> None:
    near = Cluster(Path("/short/postgres"))
    far = Cluster(Path("/" + "long/" * 30 + "postgres"))
    listed = Cluster(Path("/a,b/postgres"))
    assert near.socket_folder == Path("/short/run")
    for cluster in (far, listed):
        assert cluster.home not in cluster.socket_folder.parents
        assert len(str(cluster.socket_folder)) < SOCKET_PATH_LIMIT
    assert far.socket_folder != listed.socket_folder


def test_children_get_what_the_settings_need_and_nothing_of_the_callers(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/precious")
    monkeypatch.setenv("LIVE_DATABASE_URL", "postgresql://production/precious")
    monkeypatch.setenv("PGHOST", "production")
    monkeypatch.setenv("FLOTILLA_SECRET_KEY", "the caller's")
    monkeypatch.setenv("FLOTILLA_UPLOAD_MAX_MB", "7")

    environment = product_environment(state, Cluster(state.postgres), Address("127.0.0.1", 8000), "run", 0)

    assert not any("precious" in value or "production" in value for value in environment.values())
    assert "FLOTILLA_SECRET_KEY" not in environment
    assert secret_file(state, "secret_key").read_text() not in environment.values()
    assert environment["FLOTILLA_UPLOAD_MAX_MB"] == "7"
    assert database_address(environment["DATABASE_URL"]).host == str(Cluster(state.postgres).socket_folder)
    (store,) = store_addresses([environment["ARTIFACT_STORES"]])
    assert store.location == str(state.artifacts)


def test_slow_work_has_a_worker_of_its_own(state: State) -> None:
    queues = [
        spec.command[spec.command.index("--queues") + 1]
        for spec in process_table(state, Address("127.0.0.1", 8000))
        if "--queues" in spec.command
    ]
    assert queues == ["rollouts,default", "artifacts,telemetry"]


def child_of(code: str, folder: Path, run: str = "") -> tuple[Child, list[str]]:
    said: list[str] = []
    spec = ProcessSpec(name="child", command=(sys.executable, "-c", code))
    environment = {**os.environ, "FLOTILLA_RUN": run}
    return Child("child", folder / "child.log", spawn(spec, environment), said.append), said


def test_one_that_keeps_ending_is_started_ever_more_rarely(tmp_path: Path) -> None:
    child, said = child_of("raise SystemExit(3)", tmp_path)
    child.start()
    eventually(child.watch)
    first = child.seconds_to_restart()
    child.next_start_at = 0
    eventually(child.watch)
    eventually(child.watch)
    second = child.seconds_to_restart()

    assert first is not None
    assert second is not None
    assert first <= 0.5 < second <= 1.0
    assert child.restarts == 1
    assert "ended with status 3" in said[0]


def test_one_that_cannot_be_started_at_all_is_tried_again(tmp_path: Path) -> None:
    spec = ProcessSpec(name="child", command=(str(tmp_path / "absent"),))
    said: list[str] = []
    child = Child("child", tmp_path / "child.log", spawn(spec, {}), said.append)
    child.start()
    assert not child.is_running
    assert "cannot be started" in said[0]
    assert child.seconds_to_restart() is not None


def test_what_a_dead_process_leaves_behind_is_ended(tmp_path: Path) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '600']); raise SystemExit(0)"
    child, _ = child_of(code, tmp_path, run="leftovers")
    child.start()
    eventually(child.watch)
    eventually(lambda: family("leftovers") == [], deadline_s=10)


def test_a_run_is_ended_however_deep_its_processes_hide(tmp_path: Path) -> None:
    code = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"
    child, _ = child_of(code, tmp_path, run="deep")
    child.start()
    eventually(lambda: len(family("deep")) == 2)
    assert end_family("deep") == []
    assert family("deep") == []
    child.kill()


def test_an_end_is_told_in_words() -> None:
    assert describe_end(-signal.SIGKILL) == "was ended by SIGKILL"
    assert describe_end(1) == "ended with status 1"


def test_waiting_has_an_end() -> None:
    started = time.monotonic()
    with pytest.raises(AssertionError):
        eventually(lambda: False, deadline_s=0.05)
    assert time.monotonic() - started < 5
