"""The story, told through the product's own API: what stands in it is asked for, what is missing is done.

Every chapter looks at the installation first, so that a second start goes on where the first one ended, and a person
who does something in between is part of the story.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from demo.client import Api, ApiError, Json
from demo.digits import Digits, Splits, report, splits, train
from demo.fleets import Devices
from demo.tour import Step, Tour
from demo.world import DEMO_MODEL, DRIFTING_REGION

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
HELD_OUT_SET: Final = "held-out digits"
SUPPLIERS_SET: Final = "supplier's digits"
FIRST, BETTER, BAD = "1.0.0", "1.1.0", "1.2.0"
PARENTS: Final = {BETTER: FIRST}
ENDED: Final = frozenset({"completed", "rolled_back", "cancelled"})
# Production soaks for half an hour and judges by day; here seconds must do, and the screen says so.
POLICY: Final[Json] = {
    "canary_percent": 5,
    "waves": [100],
    "holdout_percent": 0,
    "cover_strata": True,
    "soak_s": 30,
    "evidence_required": "attested",
    "shadow_every": 10,
    "gate_interval_s": 2,
    "proven_percent": 90,
    "max_failed_percent": 20,
    "patience_s": 300,
    "rollback_on_halt": True,
    "retry": {"attempts": 3, "backoff_s": 5},
    "timeouts": {"reachable_s": 60, "progress_s": 60, "proof_s": 60},
    "gates": [
        {"name": "disagreement", "metric": "disagreement", "ceiling": 0.05, "is_optional": True},
        {"name": "latency p95", "metric": "latency_p95", "harm_bound": 1.0, "is_optional": True},
        {"name": "error rate", "metric": "error_rate", "harm_bound": 0.01, "ceiling": 0.05},
    ],
}
FIRST_POLICY: Final[Json] = {**POLICY, "soak_s": 5, "gates": []}


class StoryError(Exception):
    """The story cannot go on; the text says why."""


@dataclass
class Story:
    """Tells it.

    Args:
        api: of the demo organization's administrator.
        devices: the organization's devices, alive already.
        tour: where it says how far it is.
        folder: keeps models and evaluation sets.
        stop: ends it.
        policy: of the canaries; tests shorten it.
        first_policy: of the first release.
    """

    api: Api
    devices: Devices
    tour: Tour
    folder: Path
    policy: Json = field(default_factory=lambda: dict(POLICY))
    first_policy: Json = field(default_factory=lambda: dict(FIRST_POLICY))

    def __post_init__(self) -> None:
        count = len(self.devices.members)
        self.joining = self.tour.step("join", f"{count} devices join")
        self.publishing = self.tour.step("publish", f"{DEMO_MODEL} {FIRST} is published")
        self.first = self.tour.step("first", f"{FIRST} goes to every device")
        self.better = self.tour.step("better", f"{BETTER} goes to a canary, then to the rest")
        self.bad = self.tour.step("bad", f"{BAD} is stopped in the canary and taken back")
        self.drifting = self.tour.step("drift", f"The cameras of {DRIFTING_REGION} get worse")

    async def tell(self) -> None:
        """All chapters in order. A chapter that fails says so on screen and ends the story; buttons go on working."""
        chapters: list[tuple[Step, Callable[[], Any]]] = [
            (self.joining, self._join),
            (self.publishing, self._publish_first),
            (self.first, self._first_release),
            (self.better, self._better_release),
            (self.bad, lambda: self.ship_bad(BAD, self.bad)),
            (self.drifting, self._drift),
        ]
        for step, chapter in chapters:
            try:
                await chapter()
            except (StoryError, ApiError) as error:
                log.warning("%s: %s", step.title, error)
                step.become("failed", str(error))
                return

    # --- Chapters -------------------------------------------------------------------------------------
    async def _join(self) -> None:
        total = len(self.devices.members)
        while (joined := self.devices.joined_count) < total:
            self.joining.become("running", f"{joined} of {total} have their certificate")
            await asyncio.sleep(LOOK_INTERVAL_S)
        while (online := (await self.api.get("devices/summary/"))["online"]) < total * 0.9:
            self.joining.become("running", f"{online} of {total} are online")
            await asyncio.sleep(LOOK_INTERVAL_S)
        agents = sum(member.is_real for member in self.devices.members)
        text = f"{agents} real agents and {total - agents} simulated devices, each with a certificate of its own"
        self.joining.become("done", text, link="/")

    async def _publish_first(self) -> None:
        version = await self.publish(FIRST, self.publishing)
        self.publishing.become(
            "done",
            f"Validated, approved and signed. {_measured(version)}",
            at=_time(version["approved_at"]),
            link=f"/versions/{version['id']}",
        )

    async def _first_release(self) -> None:
        rollout = await self.roll_out(FIRST, self.first, strategy="all_at_once", policy=self.first_policy)
        self._expect(rollout, "completed", self.first, f"{FIRST} is proven on {_proven(rollout)} devices")

    async def _better_release(self) -> None:
        self.better.become("running", "Being published")
        await self.publish(BETTER, self.better)
        rollout = await self.roll_out(BETTER, self.better, strategy="canary", policy=self.policy)
        canary = rollout["waves"][0]["device_count"]
        text = f"{canary} devices first, then all: proven on {_proven(rollout)} devices"
        self._expect(rollout, "completed", self.better, text)

    async def ship_bad(self, version: str, step: Step) -> None:
        """Ship a version that confuses a digit, and wait for it to be taken back."""
        step.become("running", "Being published")
        await self.publish(version, step)
        rollout = await self.roll_out(version, step, strategy="canary", policy=self.policy)
        reason = rollout["halt_reason"]
        text = f"Halted by {reason['gate']}: {reason['text']}" if reason else ""
        self._expect(rollout, "rolled_back", step, text)

    async def _drift(self) -> None:
        if await self._drift_alert() is None:
            self.devices.drift(DRIFTING_REGION, is_on=True)
        await self.drift_shows(state="")

    async def drift_shows(self, state: str = "open") -> None:
        """Wait for the alert about the drifting region, or until its cameras are mended.

        Args:
            state: of the alert; empty when one that is closed again will do.
        """
        step = self.drifting
        step.become("running", "Less contrast, more noise; drift needs some data to show", link="/drift")
        while (alert := await self._drift_alert(state)) is None:
            await asyncio.sleep(LOOK_INTERVAL_S)
            if DRIFTING_REGION not in self.devices.drifting:
                return
        subject = alert["subject"]
        link = f"/drift?version_id={subject.get('version_id', '')}&region={DRIFTING_REGION}"
        link += f"&feature={subject.get('feature', '')}"
        step.become("done", alert["title"], at=_time(alert["opened_at"]), link=link)

    async def _drift_alert(self, state: str = "") -> Json | None:
        """The newest drift alert about the region."""
        parameters = {"state": state} if state else {}
        async for alert in self.api.pages("alerts/", **parameters):
            if alert["rule"]["kind"] == "drift" and alert["subject"].get("region") == DRIFTING_REGION:
                return alert
        return None

    # --- What chapters are made of --------------------------------------------------------------------
    async def publish(self, version: str, step: Step) -> Json:
        """The approved version, made when it is missing.

        Raises:
            StoryError: validation found it wanting, or a person declined it.
        """
        found = await self.api.find("versions/", where={"version": version}, model=DEMO_MODEL)
        if found is None:
            step.become("running", f"Training {version} and sending it in")
            found = await self._send_in(version)
        path = f"versions/{found['id']}/"
        while found["state"] in {"draft", "validating"}:
            step.become("running", f"{version} is run on its evaluation set in a confined process")
            await asyncio.sleep(LOOK_INTERVAL_S / 2)
            found = await self.api.get(path)
        if found["state"] != "ready":
            reason = found["state_reason"] or {}
            raise StoryError(f"{version} is {found['state']}: {reason.get('text', 'no reason given')}")
        if found["approval"] == "none":
            found = await self.api.post(f"{path}request-approval/", {"reason": "Demo"})
        if found["approval"] == "requested":
            found = await self.api.post(f"{path}approve/", {"reason": "Accuracy on its evaluation set is good"})
        if found["approval"] != "approved":
            raise StoryError(f"{version} was {found['approval']}")
        return found

    async def _send_in(self, version: str) -> Json:
        model = await self.api.find_or_create(
            "models/", {"name": DEMO_MODEL, "description": "Which digit does the camera see?"}
        )
        data, trained = await asyncio.to_thread(self._trained, version)
        set_name = HELD_OUT_SET if trained.evaluation is data.evaluation else SUPPLIERS_SET
        sets = f"models/{model['id']}/evaluation-sets/"
        evaluation = await self.api.find(sets, where={"name": set_name})
        if evaluation is None:
            path = self.folder / f"{set_name.replace(' ', '-').replace(chr(39), '')}.npz"
            await asyncio.to_thread(trained.evaluation.save, path)
            evaluation = await self.api.post(sets, {"name": set_name, "upload": await self.api.upload(path)})
        path = self.folder / f"{DEMO_MODEL}-{version}.onnx"
        await asyncio.to_thread(trained.save, path)
        parent = await self.api.find("versions/", where={"version": PARENTS.get(version, BETTER)}, model=DEMO_MODEL)
        return await self.api.post(
            "versions/",
            {
                "model": DEMO_MODEL,
                "version": version,
                "description": trained.description,
                "upload": await self.api.upload(path),
                "evaluation_set": evaluation["id"],
                "parent": parent["id"] if parent and parent["version"] != version else None,
                "lineage": {"code": "demo/digits.py", "data": "scikit-learn bundled digits"},
            },
        )

    def _trained(self, version: str) -> tuple[Splits, Digits]:
        data = splits()
        versions = [train(PARENTS.get(version, BETTER), data), train(version, data)]
        for line in report(versions, data):
            log.info("%s", line)
        return data, versions[-1]

    async def roll_out(self, version: str, step: Step, *, strategy: str, policy: Json) -> Json:
        """The rollout of a version, started when there is none, after it has ended.

        Raises:
            StoryError: it was planned, but never started, by somebody else.
        """
        name = f"{DEMO_MODEL} {version}"
        rollout = await self.api.find("rollouts/", where={"version": version, "name": name}, model=DEMO_MODEL)
        if rollout is None:
            approved = await self.api.find("versions/", where={"version": version}, model=DEMO_MODEL)
            assert approved is not None
            body = {"name": name, "version": approved["id"], "strategy": strategy, "selector": {}, "policy": policy}
            rollout = await self.api.post("rollouts/", body)
        if rollout["state"] == "draft":
            rollout = await self.api.post(f"rollouts/{rollout['id']}/start/")
        link = f"/rollouts/{rollout['id']}"
        while rollout["state"] not in ENDED:
            step.become("running", _progress(rollout), link=link)
            await asyncio.sleep(LOOK_INTERVAL_S)
            rollout = await self.api.get(f"rollouts/{rollout['id']}/")
        step.link = link
        return rollout

    @staticmethod
    def _expect(rollout: Json, state: str, step: Step, text: str) -> None:
        at = _time(rollout["finished_at"])
        if rollout["state"] == state:
            step.become("done", text, at=at)
            return
        reason = rollout["halt_reason"] or {}
        ended = f"It ended {rollout['state'].replace('_', ' ')}" + (f": {reason['text']}" if reason else "")
        step.become("failed", ended, at=at)


def _progress(rollout: Json) -> str:
    state = rollout["state"].replace("_", " ")
    coming = (rollout.get("next") or {}).get("text")
    reason = (rollout["halt_reason"] or {}).get("text")
    return f"{state.capitalize()}. {reason or coming or ''}".strip()


def _proven(rollout: Json) -> int:
    return int(rollout["counts"].get("proven", 0))


def _measured(version: Json) -> str:
    accuracy = (version.get("evaluation") or {}).get("accuracy")
    return "" if accuracy is None else f"Right on {accuracy:.1%} of its evaluation set."


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
