"""The update under way, as the state file keeps it, and the table of its moves.

The file is written before a step is carried out, never after: whatever ends the process, the next start finds
the step it was in and does it again. So every deed is idempotent (``steps.py``).
"""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

from flotilla_agent.ddi import Install, Order
from flotilla_agent.files import read_or_none, write_atomic
from flotilla_agent.slots import Label
from flotilla_protocol.messages import Soak

log = logging.getLogger(__name__)


class Step(StrEnum):
    """Where an update is."""

    IDLE = "idle"  # nothing to do; the last update's outcome is in the state
    FETCH = "fetch"  # getting signed bytes into the spare slots
    VERIFY = "verify"  # judging them: signature, digest, manifest
    TEST = "test"  # loading the candidate beside the running version and letting it test itself
    SWITCH = "switch"  # links point at the candidates, the run loop uses them
    CLOSE = "close"  # telling the control plane: closed/success; the soak has begun
    PROBATION = "probation"  # soaking; the previous version runs beside
    ROLL_BACK = "roll_back"  # links point at the previous versions again
    REFUSE = "refuse"  # telling the control plane: closed/failure, or by report when it was closed already
    CANCEL = "cancel"  # cleaning up, acknowledging the cancel


class Event(StrEnum):
    """What moves it on."""

    OFFERED = "offered"  # the control plane wants something new
    DONE = "done"  # the step's deed is done
    FAILED = "failed"  # it cannot be done
    CANCELLED = "cancelled"  # the control plane takes the action back


# Every move there is. Before the switch nothing of the running version has been touched; after it a cancel
# comes too late and failure leads back through ROLL_BACK.
TRANSITIONS: dict[tuple[Step, Event], Step] = {
    (Step.IDLE,      Event.OFFERED):   Step.FETCH,
    (Step.FETCH,     Event.DONE):      Step.VERIFY,
    (Step.FETCH,     Event.FAILED):    Step.REFUSE,
    (Step.FETCH,     Event.CANCELLED): Step.CANCEL,
    (Step.FETCH,     Event.OFFERED):   Step.FETCH,
    (Step.VERIFY,    Event.DONE):      Step.TEST,
    (Step.VERIFY,    Event.FAILED):    Step.REFUSE,
    (Step.VERIFY,    Event.CANCELLED): Step.CANCEL,
    (Step.VERIFY,    Event.OFFERED):   Step.FETCH,
    (Step.TEST,      Event.DONE):      Step.SWITCH,
    (Step.TEST,      Event.FAILED):    Step.REFUSE,
    (Step.TEST,      Event.CANCELLED): Step.CANCEL,
    (Step.TEST,      Event.OFFERED):   Step.FETCH,
    (Step.SWITCH,    Event.DONE):      Step.CLOSE,
    (Step.SWITCH,    Event.FAILED):    Step.ROLL_BACK,
    (Step.CLOSE,     Event.DONE):      Step.PROBATION,
    (Step.CLOSE,     Event.FAILED):    Step.ROLL_BACK,
    (Step.PROBATION, Event.DONE):      Step.IDLE,
    (Step.PROBATION, Event.FAILED):    Step.ROLL_BACK,
    (Step.PROBATION, Event.OFFERED):   Step.FETCH,
    (Step.ROLL_BACK, Event.DONE):      Step.REFUSE,
    (Step.REFUSE,    Event.DONE):      Step.IDLE,
    (Step.CANCEL,    Event.DONE):      Step.IDLE,
}  # fmt: skip


class Placement(msgspec.Struct, frozen=True):
    """Where one model of the update goes, and what ran before; decided once, when the update begins."""

    install: Install
    slot: Label
    previous: Label | None


class Removal(msgspec.Struct, frozen=True):
    """A model that is to run no longer, and what of it ran before."""

    model: str
    previous: Label | None


class UpdateState(msgspec.Struct, frozen=True):
    """Everything the next start must know."""

    step: Step = Step.IDLE
    number: int = 0  # of the action acted on last; 0 for none yet
    kind: Literal["install", "restore", "remove"] = "install"
    placements: list[Placement] = []
    removals: list[Removal] = []
    soak_s: float = 0.0
    shadow_every: int = 0
    may_install: bool = True  # false while a maintenance window is closed
    attempt: int = 0  # failed tries of the current step
    starts: int = 0  # of the process since the switch, not counting those after a clean stop
    is_closed: bool = False  # the control plane has the action's outcome
    reason: str = ""  # code of a failure
    text: str = ""
    self_test: Literal["passed", "failed", "not_run"] = "not_run"
    soak: Soak = Soak(clean=None, seconds=0.0, errors=0)
    report_due: bool = False  # something happened that a version report must say

    def order_is_same(self, order: Order) -> bool:
        """Whether this is the order already acted on."""
        return order.number == self.number


class StateFile:
    """The state on disk.

    An unreadable file (it can only be another program's doing: writes are atomic) is put aside; the links say
    what runs, so the device goes on with that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.state = self._load()

    def _load(self) -> UpdateState:
        content = read_or_none(self._path)
        if content is None:
            return UpdateState()
        try:
            return msgspec.json.decode(content, type=UpdateState)
        except msgspec.DecodeError:
            log.exception("The update's state cannot be read; it is put aside and the running models stay.")
            self._path.replace(self._path.with_suffix(".unreadable"))
            return UpdateState()

    def save(self, state: UpdateState) -> None:
        """Make it durable, then current.

        Raises:
            OSError: it could not be written; the old state stands.
        """
        write_atomic(self._path, msgspec.json.encode(state))
        self.state = state
