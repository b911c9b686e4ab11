"""The tour's buttons: the story's accidents once more, by hand."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field

from demo.client import ApiError
from demo.digits import CONFUSED_CLASS
from demo.story import BAD, ENDED, Story, StoryError
from demo.tour import Action, Tour
from demo.world import DEMO_MODEL, DRIFTING_REGION

log = logging.getLogger(__name__)

CUT_S = 60.0
CUT_SITE = "Rouen Centre"
_BUSY = "The story is not told yet: one thing after the other"


@dataclass
class Buttons:
    """Does what is pressed, in the background: a click is answered at once.

    Args:
        story: whose devices and API are used.
        tour: where results are shown.
        group: runs what takes longer.
        stop: ends waiting.
    """

    story: Story
    tour: Tour
    group: asyncio.TaskGroup
    stop: asyncio.Event
    is_story_over: bool = False
    _shipping: bool = False
    _is_cut: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tour.actions = [
            Action(
                key="ship_bad_model",
                title=lambda: "Ship a bad model again",
                text=f"Trains a new {DEMO_MODEL} that confuses the digit {CONFUSED_CLASS}, and rolls it out by canary.",
                unavailable=self._why_not_ship,
                perform=self._ship,
            ),
            Action(
                key="drift_region",
                title=self._drift_title,
                text="Changes contrast and noise of one region's cameras; drift shows there within a minute or two.",
                unavailable=lambda: None if self.is_story_over else _BUSY,
                perform=self._drift,
            ),
            Action(
                key="cut_site",
                title=lambda: f"Cut the network of {CUT_SITE}",
                text=f"Its devices are unreachable for {CUT_S:.0f} s, then send what they kept.",
                unavailable=self._why_not_cut,
                perform=self._cut,
            ),
        ]

    def cancel(self) -> None:
        """End what is under way; the next start takes it up again."""
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = self.group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- Ship a bad model -------------------------------------------------------------------------------
    def _why_not_ship(self) -> str | None:
        if not self.is_story_over:
            return _BUSY
        return "One is under way" if self._shipping else None

    async def _ship(self) -> None:
        self._shipping = True
        self._begin(self._ship_and_wait())

    async def _ship_and_wait(self) -> None:
        try:
            version = await self._next_bad_version()
            step = self.tour.step(f"bad-{version}", f"{version} is stopped in the canary and taken back")
            try:
                await self.story.ship_bad(version, step)
            except (ApiError, StoryError) as error:
                step.become("failed", str(error))
        except Exception:
            log.exception("a bad model could not be shipped")
        finally:
            self._shipping = False

    async def _next_bad_version(self) -> str:
        """The first that was never rolled out to its end: one that a restart cut off is taken up again."""
        prefix = BAD.rpartition(".")[0]
        ended = set()
        async for rollout in self.story.api.pages("rollouts/", model=DEMO_MODEL):
            if rollout["state"] in ENDED:
                ended.add(rollout["version"])
        number = 1
        while f"{prefix}.{number}" in ended:
            number += 1
        return f"{prefix}.{number}"

    # --- Drift ------------------------------------------------------------------------------------------
    @property
    def _is_drifting(self) -> bool:
        return DRIFTING_REGION in self.story.devices.drifting

    def _drift_title(self) -> str:
        return f"Mend the cameras of {DRIFTING_REGION}" if self._is_drifting else f"Drift {DRIFTING_REGION}"

    async def _drift(self) -> None:
        is_on = not self._is_drifting
        self.story.devices.drift(DRIFTING_REGION, is_on=is_on)
        if is_on:
            self._begin(self._watch_drift())
        else:
            text = "The cameras are mended; the alert closes when the data are calm again"
            self.story.drifting.become("done", text, link="/alerts")

    async def _watch_drift(self) -> None:
        try:
            await self.story.drift_shows()
        except ApiError as error:
            self.story.drifting.become("failed", str(error))

    # --- Cut a site -------------------------------------------------------------------------------------
    def _why_not_cut(self) -> str | None:
        if not self.story.devices.are_alive:
            return _BUSY
        return f"{CUT_SITE} is cut off; its network comes back by itself" if self._is_cut else None

    async def _cut(self) -> None:
        self._is_cut = True
        self._begin(self._cut_and_mend())

    async def _cut_and_mend(self) -> None:
        step = self.tour.step("cut", f"The network of {CUT_SITE} is cut")
        count = self.story.devices.cut(CUT_SITE, is_cut=True)
        step.become("running", f"{_devices(count)} unreachable for {CUT_S:.0f} s", link="/")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), CUT_S)
        self.story.devices.cut(CUT_SITE, is_cut=False)
        step.become("done", f"{_devices(count)} back: what was kept is sent now")
        self._is_cut = False


def _devices(count: int) -> str:
    return "1 device is" if count == 1 else f"{count} devices are"
