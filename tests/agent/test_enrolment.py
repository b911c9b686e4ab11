"""Joining: once, safely repeated, never taking over another device."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flotilla_agent.client import Addresses, UnreachableError
from flotilla_agent.enrol import EnrolmentError, enrol
from flotilla_agent.identity import Enrolment, Identity
from flotilla_agent.state_folder import StateFolder, StateFolderError, default_location
from tests.agent.conftest import http_client
from tests.simulator_server.plane import TENANT, ControlPlane


def join(plane: ControlPlane, folder: Path, token: str, cid: str = "camera-1", tenant: str = TENANT) -> Enrolment:
    with http_client() as http:
        return enrol(
            identity=Identity(StateFolder(folder).identity),
            addresses=Addresses(plane.url, tenant, cid),
            token=token,
            profile="test-bench",
            http=http,
        )


def test_a_device_joins_once_and_needs_no_token_again(plane: ControlPlane, tmp_path: Path) -> None:
    first = join(plane, tmp_path, plane.token())
    assert join(plane, tmp_path, "") == first


def test_repeating_after_a_lost_answer_gives_the_same_identity(plane: ControlPlane, tmp_path: Path) -> None:
    token = plane.token()
    plane.lose_answers_of = {"enrol"}
    with pytest.raises(UnreachableError):
        join(plane, tmp_path, token)
    plane.lose_answers_of = set()
    assert join(plane, tmp_path, token).controller_id == "camera-1"


def test_a_used_token_lets_nobody_else_in(plane: ControlPlane, tmp_path: Path) -> None:
    token = plane.token()
    join(plane, tmp_path / "one", token)
    with pytest.raises(EnrolmentError, match="Ask an operator"):
        join(plane, tmp_path / "two", token, cid="camera-2")


def test_an_id_that_exists_is_not_taken_over(plane: ControlPlane, tmp_path: Path) -> None:
    join(plane, tmp_path / "one", plane.token())
    with pytest.raises(EnrolmentError, match="another --id"):
        join(plane, tmp_path / "two", plane.token())


def test_a_state_folder_is_one_device_s(plane: ControlPlane, tmp_path: Path) -> None:
    join(plane, tmp_path, plane.token())
    with pytest.raises(EnrolmentError, match="belongs to demo/camera-1"):
        join(plane, tmp_path, plane.token(), cid="camera-2")


def test_nobody_else_can_read_key_and_folder(plane: ControlPlane, tmp_path: Path) -> None:
    join(plane, tmp_path / "state", plane.token())
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "identity" / "key.pem").stat().st_mode) == 0o600


def test_two_agents_cannot_share_a_folder(tmp_path: Path) -> None:
    one, two = StateFolder(tmp_path), StateFolder(tmp_path)
    one.lock()
    with pytest.raises(StateFolderError, match="already runs"):
        two.lock()
    one.unlock()
    two.lock()
    two.unlock()


def test_devices_have_folders_of_their_own_even_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    one = default_location("http://127.0.0.1:8000", "Demo", "camera:1")
    assert one.is_absolute()
    assert one != default_location("http://127.0.0.1:8001", "demo", "camera:1")
