"""The connection: whom the token goes to, how much an answer may hold, and what a refusal means."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from flotilla_agent.client import Addresses, ControlPlane, RefusedError, UnreachableError
from flotilla_agent.clock import Clock
from flotilla_protocol.identity import key_generate

ADDRESSES = Addresses("https://devices.example.org", "demo", "camera-1")
ROOT = Path(__file__).resolve().parents[2]
KEY = key_generate()


def connection(answer: Callable[[httpx.Request], httpx.Response]) -> ControlPlane:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            return httpx.Response(200, json={"access_token": "secret", "expires_in_s": 900})
        return answer(request)

    return ControlPlane(ADDRESSES, KEY, Clock(), httpx.Client(transport=httpx.MockTransport(handler)))


def test_the_token_goes_to_the_control_plane_and_to_nobody_else() -> None:
    seen: dict[str, str] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.url.host] = request.headers.get("Authorization", "")
        if request.url.path == "/demo/file":
            return httpx.Response(302, headers={"Location": "https://store.example.net/file?signature=x"})
        return httpx.Response(200)

    plane = connection(answer)
    plane.request("GET", "https://devices.example.org/demo/file")
    plane.request("GET", "https://elsewhere.example.org/file")
    plane.request("GET", "http://devices.example.org/file")
    assert seen["store.example.net"] == ""
    assert seen["elsewhere.example.org"] == ""
    # The last of the two: same host, another scheme.
    assert seen["devices.example.org"] == ""


def test_an_answer_beyond_its_bound_is_refused() -> None:
    plane = connection(lambda _: httpx.Response(200, content=b"x" * 1_001))
    with pytest.raises(UnreachableError, match="1000 bytes"):
        plane.request("GET", ADDRESSES.root, max_bytes=1_000)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_busy_and_broken_mean_later_and_say_when(status: int) -> None:
    plane = connection(lambda _: httpx.Response(status, headers={"Retry-After": "7"}))
    with pytest.raises(UnreachableError) as error:
        plane.request("GET", ADDRESSES.root)
    assert error.value.after_s == 7


@pytest.mark.parametrize("header", ["soon", "-5", "nan", "1e9", ""])
def test_an_odd_retry_after_is_bounded(header: str) -> None:
    plane = connection(lambda _: httpx.Response(503, headers={"Retry-After": header}))
    with pytest.raises(UnreachableError) as error:
        plane.request("GET", ADDRESSES.root)
    assert 0 <= error.value.after_s <= 300


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"code": "fleet.x", "message": "No."}'])
def test_a_refusal_is_understood_whatever_its_body(body: bytes) -> None:
    plane = connection(lambda _: httpx.Response(404, content=body))
    with pytest.raises(RefusedError) as error:
        plane.request("GET", ADDRESSES.root)
    assert error.value.status == 404


def test_the_agent_s_wheel_carries_the_protocol_and_the_command(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT / "agent", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "flotilla_protocol/messages.py" in names
    assert "flotilla_agent/simulator/fleet.py" in names
    assert any(name.endswith("entry_points.txt") for name in names)
