"""The story's devices: joined through the front door, alive, and worsened when the story says so."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from demo.agents import RealAgent
from demo.client import Api
from demo.world import PLACES, PROFILES, Member
from flotilla_agent.files import read_or_none, write_atomic
from flotilla_agent.inference.perturbation import NONE, Perturbation
from flotilla_agent.simulator import DataSet, Fleet, SimulatedDevice

log = logging.getLogger(__name__)

RATE_HZ = 200.0  # pictures per second of a simulated camera: a verdict needs some thousand comparisons
DRIFT = Perturbation(contrast=0.55, noise=0.15)
TOKEN_LIFETIME_S = 3600


@dataclass
class Tokens:
    """Enrolment tokens of devices that have not joined yet. Kept in a file: one that asked and died before it heard
    the answer must ask again with the same token.
    """

    path: Path
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        content = read_or_none(self.path)
        self.values = json.loads(content) if content else {}

    async def of(self, member: Member, api: Api) -> str:
        """The member's token; a new one when it has none."""
        if member.controller_id not in self.values:
            made = await api.post(
                "enrolment-tokens/",
                {
                    "name": member.controller_id,
                    "site": member.place.name,
                    "region": member.place.region,
                    "labels": {"line": "demo", "kind": "agent" if member.is_real else "simulated"},
                    "expires_in_s": TOKEN_LIFETIME_S,
                },
            )
            self.values[member.controller_id] = made["token"]
            write_atomic(self.path, json.dumps(self.values).encode())
        return self.values[member.controller_id]


@dataclass
class Devices:
    """All devices of one organization.

    Args:
        api: of an operator of that organization.
        tenant: its slug.
        members: who they are.
        folder: keeps identities, what devices remember, and logs.
        camera: the pictures cameras see, as ``.npz``.
        http: the simulated devices' client; by default one of the fleet's own. Tests give one they listen to.
    """

    api: Api
    tenant: str
    members: list[Member]
    folder: Path
    camera: Path
    http: httpx.AsyncClient | None = None
    simulated: dict[str, SimulatedDevice] = field(default_factory=dict, init=False)
    agents: dict[str, RealAgent] = field(default_factory=dict, init=False)
    drifting: set[str] = field(default_factory=set, init=False)
    _fleet: Fleet | None = field(default=None, init=False)

    async def prepare_places(self) -> None:
        """Make the sites and hardware profiles that are missing."""
        for place in PLACES:
            body = {
                "name": place.name,
                "region": place.region,
                "latitude_deg": place.latitude_deg,
                "longitude_deg": place.longitude_deg,
                "timezone": place.timezone,
            }
            await self.api.find_or_create("sites/", body)
        for profile in PROFILES:
            await self.api.find_or_create("hardware-profiles/", profile.body())

    async def start(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        """Bring every device to life in ``group``; those that have not joined yet do so now."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tokens = Tokens(self.folder / "tokens.json")
        self._fleet = Fleet(
            server=self.api.url,
            tenant=self.tenant,
            data=await asyncio.to_thread(DataSet.load, self.camera),
            folder=self.folder / "simulated",
            http=self.http,
        )
        for member in self.members:
            if member.is_real:
                agent = RealAgent(member, self.api.url, self.tenant, self.folder / member.controller_id, self.camera)
                if not agent.is_enrolled:
                    agent.token = await tokens.of(member, self.api)
                self.agents[member.controller_id] = agent
                group.create_task(agent.run(stop))
            else:
                device = await self._add(member, tokens)
                self.simulated[member.controller_id] = device
                group.create_task(device.run(stop))
        content = read_or_none(self._drift_file)
        for region in json.loads(content) if content else []:
            self.drift(region, is_on=True)

    async def _add(self, member: Member, tokens: Tokens) -> SimulatedDevice:
        assert self._fleet is not None
        is_known = self._fleet.remembers(member.controller_id)
        return self._fleet.add(
            member.controller_id,
            profile=member.profile.name,
            token="" if is_known else await tokens.of(member, self.api),
            name=member.name,
            attributes={"place": member.place.name},
            latency_scale=member.profile.latency_scale,
            rate_hz=RATE_HZ,
        )

    async def close(self) -> None:
        """Close the connections; the tasks have ended."""
        if self._fleet is not None:
            await self._fleet.close()

    @property
    def are_alive(self) -> bool:
        """Whether every device has been started."""
        return len(self.simulated) + len(self.agents) == len(self.members)

    @property
    def _drift_file(self) -> Path:
        return self.folder / "drifting.json"

    @property
    def joined_count(self) -> int:
        """How many have their certificate."""
        return sum(device.record.is_enrolled for device in self.simulated.values()) + sum(
            agent.is_enrolled for agent in self.agents.values()
        )

    def drift(self, region: str, *, is_on: bool) -> None:
        """Worsen what the cameras of a region see (contrast and noise), or mend it. Holds over restarts."""
        perturbation = DRIFT if is_on else NONE
        self.drifting = self.drifting | {region} if is_on else self.drifting - {region}
        write_atomic(self._drift_file, json.dumps(sorted(self.drifting)).encode())
        for member in self.members:
            if member.place.region != region:
                continue
            if member.is_real:
                self.agents[member.controller_id].perturb(perturbation)
            else:
                self.simulated[member.controller_id].faults.drift = perturbation

    def cut(self, site: str, *, is_cut: bool) -> int:
        """Cut or mend the network of a site's simulated devices; returns how many there are."""
        there = [one for one in self.members if one.place.name == site and not one.is_real]
        for member in there:
            self.simulated[member.controller_id].faults.is_offline = is_cut
        return len(there)
