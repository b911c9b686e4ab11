"""Where the demo's devices stand, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

DEMO_MODEL: Final = "digits"
SIMULATED_DEVICES: Final = 60
NEIGHBOUR_DEVICE: Final = "neighbours-camera"


@dataclass(frozen=True)
class Profile:
    """A class of hardware, and how much slower than this machine it infers."""

    name: str
    architecture: str
    cpu: str
    cpu_count: int
    memory_bytes: int
    accelerators: tuple[str, ...]
    latency_scale: float

    def body(self) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            "cpu": self.cpu,
            "cpu_count": self.cpu_count,
            "memory_bytes": self.memory_bytes,
            "accelerators": list(self.accelerators),
            "runtimes": ["onnxruntime"],
        }


@dataclass(frozen=True)
class Place:
    """A site."""

    name: str
    region: str
    latitude_deg: float
    longitude_deg: float
    timezone: str


@dataclass(frozen=True)
class Member:
    """A device of the story: a real agent, or a simulated one."""

    controller_id: str
    name: str
    place: Place
    profile: Profile
    is_real: bool


ARM_CAMERA: Final = Profile("arm64-camera", "aarch64", "Cortex-A55", 4, 2 * 2**30, (), 3.0)
JETSON: Final = Profile("jetson-orin-nano", "aarch64", "Cortex-A78AE", 6, 8 * 2**30, ("Ampere GPU",), 1.4)
X86_GATEWAY: Final = Profile("x86-gateway", "x86_64", "Intel N97", 4, 8 * 2**30, (), 1.0)
PROFILES: Final = (ARM_CAMERA, JETSON, X86_GATEWAY)

PLACES: Final = (
    Place("Oslo Storgata", "eu-north", 59.914, 10.752, "Europe/Oslo"),
    Place("Stockholm Soder", "eu-north", 59.314, 18.074, "Europe/Stockholm"),
    Place("Helsinki Kallio", "eu-north", 60.184, 24.950, "Europe/Helsinki"),
    Place("Lyon Part-Dieu", "eu-west", 45.761, 4.860, "Europe/Paris"),
    Place("Rouen Centre", "eu-west", 49.443, 1.099, "Europe/Paris"),
    Place("Utrecht Oost", "eu-west", 52.090, 5.140, "Europe/Amsterdam"),
    Place("Boston Seaport", "us-east", 42.350, -71.045, "America/New_York"),
    Place("Newark Ironbound", "us-east", 40.727, -74.152, "America/New_York"),
    Place("Atlanta Midtown", "us-east", 33.783, -84.383, "America/New_York"),
)
REGIONS: Final = tuple(dict.fromkeys(place.region for place in PLACES))
DRIFTING_REGION: Final = "eu-north"

# In each region the agent's hardware is not that of the simulated devices around it: it is alone in its stratum, and a
# canary that covers the strata has every real agent in it.
_SIMULATED_PROFILE: Final = {"eu-north": ARM_CAMERA, "eu-west": JETSON, "us-east": X86_GATEWAY}
_AGENT_PROFILE: Final = {"eu-north": X86_GATEWAY, "eu-west": ARM_CAMERA, "us-east": JETSON}


def members(simulated: int = SIMULATED_DEVICES) -> list[Member]:
    """All devices of the story: three real agents, and simulated ones spread evenly over the sites."""
    agents = [
        Member(
            controller_id=f"agent-{region}",
            name=f"Agent {region}",
            place=next(place for place in PLACES if place.region == region),
            profile=_AGENT_PROFILE[region],
            is_real=True,
        )
        for region in REGIONS
    ]
    others = []
    for index in range(simulated):
        # Sites of different regions take turns, so that few devices are still in every region.
        place = PLACES[(index % 3) * 3 + (index // 3) % 3]
        city = place.name.partition(" ")[0].lower()
        others.append(
            Member(
                controller_id=f"camera-{city}-{index // len(PLACES) + 1:02}",
                name=f"Camera {city.title()} {index // len(PLACES) + 1}",
                place=place,
                profile=_SIMULATED_PROFILE[place.region],
                is_real=False,
            )
        )
    return [*agents, *others]
