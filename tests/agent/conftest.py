from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from flotilla_agent.agent import Agent, Options
from flotilla_agent.client import Addresses
from flotilla_agent.enrol import enrol
from flotilla_agent.identity import Identity
from flotilla_agent.model import LoadedModel
from flotilla_agent.slots import Slot
from flotilla_agent.state_folder import StateFolder
from flotilla_protocol.manifest import Manifest
from tests.simulator_server.models import Published, pictures
from tests.simulator_server.plane import TENANT, Action, ControlPlane, Device
from tests.simulator_server.serving import PlaneHost, serving

DEADLINE_S = 20.0
CID = "camera-1"


def http_client() -> httpx.Client:
    """Plain HTTP only: reading the system's certificates would take longer than the test."""
    return httpx.Client(timeout=10, verify=False)  # noqa: S501


class Bench:
    """One real agent on a real folder, its loops turned by hand; ``start`` is what a process start is."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.agent: Agent | None = None
        self._rows = pictures(40, seed=3)
        self._index = 0
        state = StateFolder(folder)
        self.identity = Identity(state.identity)
        with http_client() as http:
            self.enrolment = enrol(
                identity=self.identity,
                addresses=Addresses(plane.url, TENANT, CID),
                token=plane.token(),
                profile="test-bench",
                http=http,
            )
        self.start()

    def start(self) -> Agent:
        if self.agent is not None:
            self.agent.control_plane.close()
        self.agent = Agent(
            folder=StateFolder(self.folder),
            identity=Identity(self.folder / "identity"),
            enrolment=self.enrolment,
            options=Options(attributes={"site": "bench"}),
            http=http_client(),
            pause=lambda _attempt: 0.01,
        )
        self.agent.machine.resume()
        return self.agent

    @property
    def running_agent(self) -> Agent:
        assert self.agent is not None
        return self.agent

    @property
    def device(self) -> Device:
        return self.plane.devices[CID]

    def order(self, *published: Published, **how: object) -> Action:
        for entry in published:
            if entry.model_target not in self.plane.bytes_of:
                self.plane.publish(entry)
        return self.plane.order(CID, *published, **how)

    def turn(self, *, bright: bool = False) -> None:
        """One turn of the control loop, one input, one drain of the outbox."""
        agent = self.running_agent
        agent.control_turn()
        row = self._rows[self._index % len(self._rows)][None]
        self._index += 1
        agent.runtime.process(row + 1 if bright else row)

    def infer(self, count: int) -> None:
        """Only inputs: each of the pictures once, in order."""
        for index in range(count):
            self.running_agent.runtime.process(self._rows[index % len(self._rows)][None])

    def until(self, condition: Callable[[], bool], *, bright: bool = False) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "not reached in time"
            self.turn(bright=bright)
            time.sleep(0.002)

    def install(self, published: Published, **how: object) -> Action:
        """Order a version and see it through to its clean soak."""
        action = self.order(published, **how)
        self.until(lambda: action.state == "closed" and self.is_idle())
        assert action.result == "success", action.details
        return action

    def is_idle(self) -> bool:
        state = self.running_agent.machine.state
        return state.step == "idle" and not state.report_due

    def current(self, model: str = "shapes") -> Slot | None:
        return self.running_agent.slots.current(model)

    def assert_works(self, *versions: str) -> None:
        """The link names a complete, sound slot of one of these versions, and the model in it answers
        rightly.
        """
        slot = self.current()
        assert slot is not None
        assert slot.record.version in versions
        assert slot.is_sound()
        LoadedModel(slot).self_test()

    def send_windows(self) -> None:
        self.running_agent.runtime.cut_windows()
        self.running_agent.uplink.drain()


@pytest.fixture(scope="session")
def plane_host() -> Iterator[PlaneHost]:
    with serving() as host:
        yield host


@pytest.fixture
def plane(plane_host: PlaneHost) -> ControlPlane:
    plane = plane_host.new_plane()
    plane.poll_interval_s = 0.01
    return plane


@pytest.fixture
def bench(plane: ControlPlane, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(plane, tmp_path / "state")
    yield bench
    bench.running_agent.control_plane.close()


def manifest_with(published: Published, **changes: object) -> Published:
    manifest: Manifest = msgspec.structs.replace(published.manifest, **changes)
    return Published(published.model, published.version, published.file, manifest)
