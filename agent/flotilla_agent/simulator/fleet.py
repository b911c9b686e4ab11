"""A fleet of simulated devices over one HTTP client."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from flotilla_agent.client import TIMEOUT, USER_AGENT
from flotilla_agent.files import folder_make
from flotilla_agent.simulator.device import SimulatedDevice
from flotilla_agent.simulator.installing import Verified
from flotilla_agent.simulator.outputs import DataSet, Library
from flotilla_agent.simulator.record import DeviceRecord
from flotilla_agent.simulator.traits import Traits

# Of the whole fleet: httpx looks at every idle connection for each request, so that few are much cheaper than
# many.
CONNECTIONS = 8

# httpcore tries to import sniffio at each request. Where it is not installed, Python searches all of its path
# each time (1.5 ms, more than all else a request costs); this entry lets the import fail at once.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]


@dataclass(frozen=True)
class FleetOptions:
    """How a fleet behaves."""

    full_verifications: int = 5  # devices per version that verify and fetch everything themselves
    concurrency: int = 16  # devices that step at the same time in ``step_all``
    first_poll_within_s: float = 3.0  # of ``run``: devices start spread over so long
    max_inputs_per_window: int = 2_000


class Fleet:
    """Devices of one organization.

    Args:
        server: address of the device doors (``DEVICE_URL``).
        tenant: the organization's slug.
        data: what all cameras see.
        folder: keeps keys, what devices remember, and fetched models; a fleet on the same folder goes on
            where this one ended.
        http: the client; by default one of our own, which ``close`` closes. Tests give one with an ASGI
            transport.
        seed: of everything random, per device.
        now: the devices' clock, aware, UTC. Tests give the one they move.
        options: see there.
    """

    def __init__(
        self,
        *,
        server: str,
        tenant: str,
        data: DataSet,
        folder: Path,
        http: httpx.AsyncClient | None = None,
        seed: int = 0,
        now: Callable[[], datetime] | None = None,
        options: FleetOptions | None = None,
    ) -> None:
        self.server = server.rstrip("/")
        self.tenant = tenant
        self.seed = seed
        self.options = options or FleetOptions()
        self.now = now or _utc_now
        self._owns_http = http is None
        self.http = http or httpx.AsyncClient(
            timeout=TIMEOUT,
            headers={"User-Agent": USER_AGENT},
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        )
        self.library = Library(folder_make(folder) / "models", data)
        self.verified = Verified(self.options.full_verifications)
        self.turns = asyncio.Semaphore(CONNECTIONS)
        self.devices: dict[str, SimulatedDevice] = {}
        self._folder = folder_make(folder / "devices")

    def now_ms(self) -> int:
        """The devices' clock in milliseconds since 1970."""
        return int(self.now().timestamp() * 1000)

    def add(
        self,
        controller_id: str,
        *,
        profile: str,
        token: str = "",
        name: str = "",
        attributes: dict[str, str] | None = None,
        latency_scale: float = 1.0,
        rate_hz: float = 20.0,
    ) -> SimulatedDevice:
        """A new device, or one this folder remembers (which needs no token).

        Args:
            controller_id: the device's own id, unique in the fleet.
            profile: name of its hardware profile.
            token: enrolment token; used at the first step.
            name: what people see.
            attributes: what it reports of itself.
            latency_scale: how much slower it infers than this machine.
            rate_hz: inputs its camera gives per second.
        """
        if controller_id in self.devices:
            raise ValueError(f"{controller_id} is in the fleet already.")
        traits = Traits(
            controller_id=controller_id,
            profile=profile,
            token=token,
            name=name,
            attributes=tuple((attributes or {}).items()),
            latency_scale=latency_scale,
            rate_hz=rate_hz,
        )
        device = SimulatedDevice(self, traits, self._path(controller_id))
        self.devices[controller_id] = device
        return device

    def remembers(self, controller_id: str) -> bool:
        """Whether this folder knows the device as enrolled, so that it needs no token."""
        record = DeviceRecord.load(self._path(controller_id))
        return record is not None and record.is_enrolled

    def _path(self, controller_id: str) -> Path:
        return self._folder / f"{_file_name(controller_id)}.json"

    async def step_all(
        self, devices: Iterable[SimulatedDevice] | None = None, *, window: bool = True
    ) -> list[SimulatedDevice]:
        """One tick of all (or these) devices, some at the same time. Returns those that ended early."""
        chosen = list(self.devices.values() if devices is None else devices)
        gate = asyncio.Semaphore(self.options.concurrency)

        async def step(device: SimulatedDevice) -> None:
            async with gate:
                await device.step(window=window)

        await asyncio.gather(*(step(device) for device in chosen))
        return [device for device in chosen if device.last_error is not None]

    async def run(self, stop: asyncio.Event) -> None:
        """Let every device of now live at its own pace until ``stop`` is set."""
        async with asyncio.TaskGroup() as group:
            for device in self.devices.values():
                group.create_task(device.run(stop))

    async def close(self) -> None:
        """Close the client, if it is our own."""
        if self._owns_http:
            await self.http.aclose()


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _file_name(controller_id: str) -> str:
    """A file name of its own for every id, also on disks that do not tell cases apart."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", controller_id)[:100]
    return f"{safe}-{hashlib.sha256(controller_id.encode()).hexdigest()[:8]}"
