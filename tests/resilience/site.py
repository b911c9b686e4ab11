"""One installation, its devices and its operator: everything real except the cameras."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from config.embedded.postgres import Cluster
from demo.client import Api, ApiError, Json
from demo.digits import splits
from demo.fleets import Devices
from demo.story import ENDED, Story
from demo.tour import Tour
from demo.world import members
from flotilla_agent.slots import Slot, Slots
from flotilla_agent.state_folder import StateFolder
from tests.embedded.installation import RealInstallation
from tests.resilience.ledger import Ledger

TENANT = "demo"
AGENT = "agent-eu-north"  # the one device in a process of its own
DEADLINE_S = 90.0
# Everything that is waited for in minutes elsewhere is waited for in seconds here.
PACE = {
    "FLOTILLA_POLL_INTERVAL_S": "1",
    "FLOTILLA_HEALTH_INTERVAL_S": "1",
    "FLOTILLA_WINDOW_INTERVAL_S": "1",
    "FLOTILLA_REPORT_INTERVAL_S": "5",
}


async def until(condition: Callable[[], Awaitable[Any]], *, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until ``condition`` gives something true, and return that."""
    deadline = time.monotonic() + deadline_s
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"not within {deadline_s} s"
        await asyncio.sleep(0.05)
    return value


@dataclass(frozen=True)
class Site:
    """What a test holds of it.

    Args:
        installation: under its supervisor.
        api: of an administrator.
        devices: one real agent and simulated ones.
        ledger: what the simulated ones were told.
        story: publishes versions.
        stop: ends the devices.
        living: is done when they have ended.
    """

    installation: RealInstallation
    api: Api
    devices: Devices
    ledger: Ledger
    story: Story
    stop: asyncio.Event
    living: asyncio.Task[None]

    async def stop_devices(self) -> None:
        """End them in good order."""
        self.stop.set()
        await self.living

    @property
    def cluster(self) -> Cluster:
        """The database, for looking."""
        return Cluster(self.installation.state.postgres)

    @property
    def agent_folder(self) -> StateFolder:
        """The agent's."""
        (agent,) = self.devices.agents.values()
        return StateFolder(agent.folder)

    def agent_slot(self) -> Slot | None:
        """What the agent's link names now."""
        return Slots(self.agent_folder.models).current("digits")

    async def is_ready(self) -> bool:
        """Whether the server takes work."""
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            try:
                return (await client.get(f"{self.api.url}/readyz")).is_success
            except httpx.HTTPError:
                return False

    async def publish(self, version: str) -> Json:
        """The approved version. A step whose answer was lost in a kill is refused when it is repeated: what stands
        then is looked at again.
        """
        for _ in range(3):
            try:
                return await self.story.publish(version, self.story.publishing)
            except ApiError:
                await until(self.is_ready)
        return await self.story.publish(version, self.story.publishing)

    async def roll_out(self, version: str, name: str, policy: Json, *, strategy: str) -> Json:
        """Make and start a rollout of an approved version to every device."""
        found = await self.api.find("versions/", where={"version": version}, model="digits")
        assert found is not None
        body = {"name": name, "version": found["id"], "strategy": strategy, "selector": {}, "policy": policy}
        made = await self.api.post("rollouts/", body)
        return await self.api.post(f"rollouts/{made['id']}/start/")

    async def rollout(self, rollout: Json) -> Json:
        """As it is now."""
        return await self.api.get(f"rollouts/{rollout['id']}/")

    async def ended(self, rollout: Json, *, deadline_s: float = DEADLINE_S) -> Json:
        """The rollout once it has ended."""

        async def look() -> Json | None:
            now = await self.rollout(rollout)
            return now if now["state"] in ENDED else None

        try:
            ended: Json = await until(look, deadline_s=deadline_s)
        except AssertionError as error:
            raise AssertionError(
                f"{error}: {await self.rollout(rollout)}\n{await self.deployments(rollout)}"
            ) from error
        return ended

    async def deployments(self, rollout: Json) -> list[Json]:
        """All of a rollout."""
        return [entry async for entry in self.api.pages("deployments/", rollout=rollout["id"], limit=200)]

    def said(self) -> str:
        """The ends of the logs, for a failure's message."""
        logs = sorted(self.installation.state.logs.glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in logs)


@asynccontextmanager
async def open_site(folder: Path, *, simulated: int) -> AsyncIterator[Site]:
    """Start everything, and end it afterwards."""
    installation = RealInstallation(folder / "state")
    installation.start(**PACE)
    ledger = Ledger()
    http = ledger.client()
    stop, started = asyncio.Event(), asyncio.Event()

    async def live(devices: Devices) -> None:
        async with asyncio.TaskGroup() as group:
            await devices.start(group, stop)
            started.set()

    try:
        login = await asyncio.to_thread(installation.wait_until_ready, deadline_s=120)
        api = Api(login["url"], login["api_token"])
        camera = folder / "camera.npz"
        await asyncio.to_thread(lambda: splits().camera.save(camera))
        chosen = [one for one in members(simulated) if not one.is_real or one.controller_id == AGENT]
        devices = Devices(api, TENANT, chosen, folder / "devices", camera, http)
        await devices.prepare_places()
        living = asyncio.create_task(live(devices))
        await asyncio.wait({living, beginning := asyncio.create_task(started.wait())}, return_when="FIRST_COMPLETED")
        beginning.cancel()
        story = Story(api=api, devices=devices, tour=Tour(tenant=TENANT), folder=folder)
        site = Site(installation, api, devices, ledger, story, stop, living)
        try:
            yield site
        finally:
            await site.stop_devices()
            await api.close()
    finally:
        await http.aclose()
        installation.end()
