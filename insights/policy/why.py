"""Why a device is not on a version: the ordered answer.

Steps stand in the order in which they happen. Those that are passed are ``done``, the first that is not is ``waiting``
or ``failed``, and everything after it is ``next``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final


@dataclass(frozen=True)
class Reference:
    """What a step links to."""

    kind: str
    id: str


@dataclass(frozen=True)
class RolloutFacts:
    """The newest rollout of the version, as far as this device is concerned."""

    id: str
    name: str
    state: str
    released_wave: int
    halt_text: str


@dataclass(frozen=True)
class DeploymentFacts:
    """The device's part in it. ``wave`` counts from 1; 0 for a device that was left out."""

    state: str
    wave: int
    reason_code: str
    evidence: str
    retry_at: datetime | None
    was_installed: bool


@dataclass(frozen=True)
class Facts:
    """What is known about a device and the version it is asked about."""

    device_state: str
    is_online: bool
    model: str
    version: str
    version_id: str
    version_state: str
    approval: str
    rollout: RolloutFacts | None
    deployment: DeploymentFacts | None
    runs: str | None  # the version of the model that is proven or claimed on the device
    gate_text: str  # what holds the released wave, empty when nothing does


@dataclass(frozen=True)
class Step:
    """One step of the answer."""

    key: str
    state: str  # done | waiting | next | failed
    title: str
    text: str
    link: Reference | None


@dataclass(frozen=True)
class Next:
    """What comes next, and when (None: not known)."""

    text: str
    at: datetime | None


@dataclass(frozen=True)
class Answer:
    """The whole answer."""

    is_on_target: bool
    steps: tuple[Step, ...]
    next: Next | None


@dataclass(frozen=True)
class _Finding:
    """How one step stands: done, or not with a reason."""

    is_done: bool
    text: str
    link: Reference | None = None
    is_final: bool = False  # nothing moves it on by itself
    at: datetime | None = None


_IN_MOTION: Final = {
    "offered": "It was offered the update and has not started.",
    "downloading": "It is downloading.",
    "verifying": "It is verifying what it downloaded.",
    "installing": "It is installing.",
    "cancelling": "The update is being cancelled.",
}
_INSTALLED: Final = frozenset({"probation", "proven", "restoring", "rolled_back", "restore_failed"})
_STOPPED: Final = {
    "draft": "The rollout was not started.",
    "awaiting_approval": "The rollout waits for approval.",
    "scheduled": "The rollout waits for its time.",
    "planning": "The rollout is being planned.",
    "paused": "The rollout is paused.",
    "needs_decision": "The rollout needs a person's decision.",
    "halted": "The rollout was halted.",
    "rolling_back": "The rollout is rolled back.",
    "rolled_back": "The rollout was rolled back.",
    "cancelling": "The rollout is being cancelled.",
    "cancelled": "The rollout was cancelled.",
}
_OVER: Final = frozenset({"halted", "rolling_back", "rolled_back", "cancelling", "cancelled"})


def explain(facts: Facts) -> Answer:
    """The answer from what is known. Pure."""
    is_on_target = facts.runs == facts.version and (
        facts.deployment is None or facts.deployment.state in {"proven", "planned", "skipped", "cancelled"}
    )
    steps: list[Step] = []
    blocked: _Finding | None = None
    for key, title, find in _STEPS:
        if blocked is not None:
            steps.append(Step(key=key, state="next", title=title, text="", link=None))
            continue
        finding = find(facts)
        if not finding.is_done and not is_on_target:
            blocked = finding
        state = "done" if blocked is None else "failed" if finding.is_final else "waiting"
        text = "" if is_on_target and not finding.is_done else finding.text
        steps.append(Step(key=key, state=state, title=title, text=text, link=finding.link))
    upcoming = None
    if blocked is not None and not blocked.is_final:
        upcoming = Next(text=blocked.text, at=blocked.at)
    return Answer(is_on_target=is_on_target, steps=tuple(steps), next=upcoming)


def _version(facts: Facts) -> _Finding:
    link = Reference("version", facts.version_id)
    if facts.version_state not in {"ready", "deprecated"}:
        is_final = facts.version_state == "invalid"
        return _Finding(False, f"The version is {facts.version_state}.", link, is_final=is_final)
    if facts.approval != "approved":
        return _Finding(False, f"Its approval is {facts.approval}.", link, is_final=facts.approval == "declined")
    return _Finding(True, "It is ready and approved.", link)


def _selected(facts: Facts) -> _Finding:
    if facts.rollout is None:
        return _Finding(False, "No rollout of this version has chosen the device. Plan one that selects it.")
    link = Reference("rollout", facts.rollout.id)
    if facts.deployment is None:
        stopped = _STOPPED.get(facts.rollout.state, "The rollout does not select this device.")
        return _Finding(False, stopped, link, is_final=facts.rollout.state in _OVER)
    if facts.deployment.state == "skipped":
        return _Finding(False, f"It was left out: {_words(facts.deployment.reason_code)}.", link, is_final=True)
    return _Finding(True, f"{facts.rollout.name} chose it for wave {facts.deployment.wave}.", link)


def _released(facts: Facts) -> _Finding:
    rollout, deployment = facts.rollout, facts.deployment
    assert rollout is not None
    assert deployment is not None
    link = Reference("rollout", rollout.id)
    if deployment.state == "cancelled":
        return _Finding(False, rollout.halt_text or "Its part of the rollout was cancelled.", link, is_final=True)
    if deployment.state != "planned":
        return _Finding(True, f"Wave {deployment.wave} is released.", link)
    if rollout.state in _STOPPED:
        text = " ".join(filter(None, (_STOPPED[rollout.state], rollout.halt_text)))
        return _Finding(False, text, link, is_final=rollout.state in _OVER)
    if deployment.wave > rollout.released_wave:
        text = facts.gate_text or f"Wave {rollout.released_wave} must pass its gates first."
        return _Finding(False, f"It is in wave {deployment.wave}. {text}", link)
    return _Finding(True, f"Wave {deployment.wave} is released.", link)


def _contact(facts: Facts) -> _Finding:
    assert facts.deployment is not None
    if facts.deployment.state in _INSTALLED:
        return _Finding(True, "It received the update.")
    if facts.device_state != "accepted":
        return _Finding(
            False, f"The device is {facts.device_state}.", is_final=facts.device_state in {"rejected", "decommissioned"}
        )
    if not facts.is_online:
        return _Finding(False, "The device is offline; it continues at its next contact.")
    return _Finding(True, "The device is in contact.")


def _installed(facts: Facts) -> _Finding:
    deployment = facts.deployment
    assert deployment is not None
    if deployment.state in _INSTALLED or (deployment.state == "failed" and deployment.was_installed):
        return _Finding(True, "It downloaded, verified and installed the version.")
    if deployment.state == "failed":
        return _Finding(False, f"It failed: {_words(deployment.reason_code)}.", is_final=True)
    if deployment.state == "retry_wait":
        return _Finding(False, f"It tries again after: {_words(deployment.reason_code)}.", at=deployment.retry_at)
    return _Finding(False, _IN_MOTION.get(deployment.state, "It has not asked for the update yet."))


def _proven(facts: Facts) -> _Finding:
    rollout, deployment = facts.rollout, facts.deployment
    assert rollout is not None
    assert deployment is not None
    link = Reference("rollout", rollout.id)
    if deployment.state == "proven":
        return _Finding(True, f"What it runs is proven: {deployment.evidence}.")
    if deployment.state == "failed":
        return _Finding(False, f"The device took it back: {_words(deployment.reason_code)}.", is_final=True)
    if deployment.state in {"restoring", "rolled_back", "restore_failed"}:
        taken_back = {
            "restoring": "It is being taken back.",
            "rolled_back": "It was taken back.",
            "restore_failed": f"It could not be taken back: {_words(deployment.reason_code)}.",
        }[deployment.state]
        return _Finding(False, " ".join(filter(None, (taken_back, rollout.halt_text))), link, is_final=True)
    return _Finding(False, "It runs the version in probation; a signed report after a clean soak proves it.")


_STEPS: Final[tuple[tuple[str, str, Callable[[Facts], _Finding]], ...]] = (
    ("version", "The version may roll out", _version),
    ("selected", "A rollout chose the device", _selected),
    ("wave", "Its wave is released", _released),
    ("contact", "The device is in contact", _contact),
    ("update", "It installs the version", _installed),
    ("proof", "What it runs is proven", _proven),
)


def _words(code: str) -> str:
    return code.replace("_", " ") or "no reason given"
