"""``python -m demo``: started by the supervisor of ``make demo`` once the server answers; ends with it.

Environment: ``FLOTILLA_DEMO_JSON`` (address and login of the installation), ``FLOTILLA_DEMO_NEIGHBOUR_JSON`` (login of
the second organization), ``FLOTILLA_DEMO_CONTROL_URL`` (where the tour's door listens) and
``FLOTILLA_DEMO_CONTROL_SECRET_FILE`` (what opens it); ``FLOTILLA_DEMO_DEVICES`` simulates fewer or more than 60.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.actions import Buttons
from demo.client import Api
from demo.digits import splits
from demo.fleets import Devices
from demo.story import Story
from demo.tour import Door, Tour
from demo.world import NEIGHBOUR_DEVICE, PLACES, SIMULATED_DEVICES, X86_GATEWAY, Member, members

log = logging.getLogger(__name__)

TENANT = "demo"


@dataclass(frozen=True)
class Setting:
    """What the supervisor says."""

    url: str
    api_token: str
    neighbour: str  # slug of the second organization; empty when there is none
    neighbour_token: str
    control_url: str
    control_secret: str
    folder: Path
    simulated: int = SIMULATED_DEVICES

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Setting:
        """From environment and files.

        Raises:
            KeyError, OSError, ValueError: a part is missing; the supervisor did not start us.
        """
        demo_json = Path(environment["FLOTILLA_DEMO_JSON"])
        demo: dict[str, Any] = json.loads(demo_json.read_text(encoding="utf-8"))
        neighbour_json = environment.get("FLOTILLA_DEMO_NEIGHBOUR_JSON", "")
        neighbour: dict[str, Any] = json.loads(Path(neighbour_json).read_text("utf-8")) if neighbour_json else {}
        return cls(
            url=demo["url"],
            api_token=demo["api_token"],
            neighbour=neighbour.get("organization", ""),
            neighbour_token=neighbour.get("api_token", ""),
            control_url=environment["FLOTILLA_DEMO_CONTROL_URL"],
            control_secret=Path(environment["FLOTILLA_DEMO_CONTROL_SECRET_FILE"]).read_text(encoding="utf-8").strip(),
            folder=demo_json.parent / "demo",
            simulated=int(environment.get("FLOTILLA_DEMO_DEVICES", SIMULATED_DEVICES)),
        )


def main() -> int:
    """Run until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "httpcore", "tuf", "securesystemslib", "flotilla_agent"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        setting = Setting.of(os.environ)
    except (KeyError, OSError, ValueError) as error:
        log.error("started by hand? make demo starts this: %s", error)  # noqa: TRY400 - one line says it
        return 1
    asyncio.run(run(setting))
    return 0


async def run(setting: Setting) -> None:
    """All of it: devices, story, buttons, door; returns after SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    setting.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    camera = setting.folder / "camera.npz"
    if not camera.exists():
        await asyncio.to_thread(lambda: splits().camera.save(camera))

    api = Api(setting.url, setting.api_token)
    devices = Devices(
        api=api, tenant=TENANT, members=members(setting.simulated), folder=setting.folder / TENANT, camera=camera
    )
    tour = Tour(tenant=TENANT)
    story = Story(api=api, devices=devices, tour=tour, folder=setting.folder)
    door = Door(tour, url=setting.control_url, secret=setting.control_secret)
    neighbour = _neighbour(setting, camera)
    try:
        async with asyncio.TaskGroup() as group:
            buttons = Buttons(story=story, tour=tour, group=group, stop=stop)
            serving = group.create_task(door.serve())
            telling = group.create_task(_tell(story, devices, buttons, group, stop))
            if neighbour is not None:
                await neighbour.start(group, stop)
            await stop.wait()
            telling.cancel()
            buttons.cancel()
            door.should_exit = True
            await serving
    finally:
        for one in (devices, neighbour):
            if one is not None:
                await one.close()
                await one.api.close()


async def _tell(
    story: Story, devices: Devices, buttons: Buttons, group: asyncio.TaskGroup, stop: asyncio.Event
) -> None:
    story.joining.become("running", "Sites and hardware profiles are made")
    await devices.prepare_places()
    await devices.start(group, stop)
    await story.tell()
    buttons.is_story_over = True
    log.info("the story is told")


def _neighbour(setting: Setting, camera: Path) -> Devices | None:
    """The second organization's only device; nothing of it is seen in the first, and the other way round."""
    if not setting.neighbour:
        return None
    device = Member(NEIGHBOUR_DEVICE, "Neighbour's camera", PLACES[3], X86_GATEWAY, is_real=False)
    return Devices(
        api=Api(setting.url, setting.neighbour_token),
        tenant=setting.neighbour,
        members=[device],
        folder=setting.folder / setting.neighbour,
        camera=camera,
    )


if __name__ == "__main__":
    sys.exit(main())
