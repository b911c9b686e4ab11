"""Drives the update: takes orders and cancels, carries out one step after the other, backs off, resumes."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from msgspec.structs import replace

from flotilla_agent.client import RefusedError, UnreachableError
from flotilla_agent.ddi import Deployment, Feedback, Order, action_number, order_of
from flotilla_agent.reasons import Reason, RetryLaterError, UpdateFailedError
from flotilla_agent.slots import Slots
from flotilla_agent.update.state import TRANSITIONS, Event, Placement, Removal, StateFile, Step, UpdateState
from flotilla_agent.update.steps import ActionGoneError, Deeds, StoppingError, SupersededError
from flotilla_protocol.messages import Soak

log = logging.getLogger(__name__)

MAX_FETCH_ATTEMPTS = 12  # of one download; with the pauses below, more than half an hour of an away network
FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 300.0
MAX_STARTS = 3  # a candidate in whose probation the process died so often is taken back
CANCELLABLE = frozenset({Step.FETCH, Step.VERIFY, Step.TEST})
BEFORE_SWITCH = CANCELLABLE
SWITCHED = frozenset({Step.SWITCH, Step.CLOSE, Step.PROBATION})
CANDIDATE_LOADED = SWITCHED | {Step.TEST}


class Machine:
    """One device's updates. Not safe for several threads: the control thread owns it.

    Args:
        state_file: the state, loaded.
        slots: where models are.
        deeds: what the steps do.
        pause: gives the pause after so many failed attempts, in seconds; tests make it short.
    """

    def __init__(
        self, state_file: StateFile, slots: Slots, deeds: Deeds, pause: Callable[[int], float] | None = None
    ) -> None:
        self._file = state_file
        self._slots = slots
        self._deeds = deeds
        self._pause = pause or pause_s
        self._not_before = 0.0

    @property
    def state(self) -> UpdateState:
        """Where the update is."""
        return self._file.state

    # --- What comes from outside ----------------------------------------------------------------------
    def resume(self) -> None:
        """Begin at process start: count a start in probation, and run what the links say.

        A step that was under way is done again by ``advance``.
        """
        state = self.state
        if state.step in CANDIDATE_LOADED:
            self._save(replace(state, starts=state.starts + 1))
            if state.starts + 1 > MAX_STARTS:
                reason = Reason.SELF_TEST_FAILED if state.step is Step.TEST else Reason.RUNTIME_ERROR
                self._fail(UpdateFailedError(reason, f"The agent died {MAX_STARTS} times with the candidate loaded."))
        if self.state.step is Step.ROLL_BACK:
            # What is to be taken back must not be loaded once more.
            self.advance()
        else:
            self._deeds.run_current(self.state)

    def stopping(self) -> None:
        """The process ends in good order: its next start does not count against a candidate."""
        if self.state.step in CANDIDATE_LOADED and self.state.starts:
            self._save(replace(self.state, starts=0))

    def offer(self, deployment: Deployment) -> None:
        """Take what the control plane wants.

        An action already acted on is closed again with its outcome: the answer to the first time was lost.

        Raises:
            UnreachableError, RefusedError: its outcome cannot be delivered now.
            UpdateFailedError: the action cannot even be named, so that nothing can be answered.
        """
        state = self.state
        try:
            order = order_of(deployment)
        except UpdateFailedError as error:
            number = str(action_number(deployment.id))
            self._deeds.feedback(number, Feedback.of("closed", "failure", error.reason, error.text))
            return
        if state.order_is_same(order):
            self._offered_again(order)
        elif (state.step, Event.OFFERED) in TRANSITIONS and order.may_download:
            self._begin(order)

    def _offered_again(self, order: Order) -> None:
        state = self.state
        if state.may_install != order.may_install:
            self._save(replace(state, may_install=order.may_install))
        if state.step in {Step.IDLE, Step.PROBATION}:
            self._deeds.close(state)
        elif state.step in BEFORE_SWITCH:
            # Links may have been renewed; the bytes they lead to are pinned by their digests.
            fresh = {install.model: install for install in order.installs}
            placements = [
                replace(placement, install=fresh.get(placement.install.model, placement.install))
                for placement in state.placements
            ]
            if placements != state.placements:
                self._save(replace(self.state, placements=placements))

    def _begin(self, order: Order) -> None:
        what = [f"{install.model} {install.version}" for install in order.installs]
        what += [f"{model} is to be removed" for model in order.removals]
        log.info("Action %d: %s", order.number, ", ".join(what))
        placements: list[Placement] = []
        for install in order.installs:
            current = self._slots.current_label(install.model)
            # A version that is still here (a restore's, say) is verified where it lies instead of fetched
            # again.
            have = self._slots.label_of(install.model, install.version, install.digest)
            placements.append(Placement(install, have or self._slots.spare_label(install.model), current))
        self._not_before = 0.0
        self._save(
            UpdateState(
                step=TRANSITIONS[self.state.step, Event.OFFERED],
                number=order.number,
                kind=order.kind,
                placements=placements,
                removals=[Removal(model, self._slots.current_label(model)) for model in order.removals],
                soak_s=order.soak_s,
                shadow_every=order.shadow_every,
                may_install=order.may_install,
            )
        )

    def cancel(self, number: int) -> None:
        """The control plane takes an action back.

        Raises:
            UnreachableError: the answer to it cannot be delivered now.
        """
        state = self.state
        if number != state.number:
            self._deeds.answer_cancel(number, accepted=True)  # never begun
        elif state.step in CANCELLABLE:
            text = "Cancelled by the operator."
            self._move(Event.CANCELLED, replace(state, reason=Reason.CANCELLED, text=text))
        elif state.step in SWITCHED or (state.step is Step.IDLE and not state.reason):
            self._deeds.answer_cancel(number, accepted=False)
        elif state.step is Step.IDLE:
            self._deeds.answer_cancel(number, accepted=True)  # it failed or was cancelled before

    # --- The steps ------------------------------------------------------------------------------------
    def is_waiting(self) -> bool:
        """Whether nothing can be done before some time has passed or the control plane speaks."""
        return self.state.step is Step.IDLE or time.monotonic() < self._not_before

    def advance(self) -> bool:
        """Carry out the current step once. Returns whether the update moved on."""
        try:
            if self.state.step in {Step.CLOSE, Step.PROBATION}:
                self._deeds.judge()  # also while a pause lasts
            if self.is_waiting():
                return False
            return self._carry_out()
        except UpdateFailedError as error:
            return self._fail(error)
        except (RetryLaterError, UnreachableError) as error:
            return self._retry(str(error), error.after_s)
        except RefusedError as error:
            return self._retry(str(error), LAST_PAUSE_S)
        except Exception as error:
            log.exception("Step %s met an unforeseen error", self.state.step)
            return self._fail(UpdateFailedError(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"))

    def _carry_out(self) -> bool:
        state = self.state
        try:
            result = self._deeds.carry_out(state)
        except SupersededError:
            return True
        except StoppingError:
            return False
        except ActionGoneError:
            # The control plane closed it by force; there is nobody left to answer.
            self._move(Event.CANCELLED, replace(state, is_closed=True, reason=Reason.CANCELLED))
            return True
        if result is None:
            return False
        self._move(Event.DONE, result)
        return True

    def _fail(self, error: UpdateFailedError) -> bool:
        state = self.state
        log.warning("Action %d failed in step %s: %s", state.number, state.step, error)
        if (state.step, Event.FAILED) not in TRANSITIONS:
            # Putting things back must be tried until it is done.
            return self._retry(str(error), 0.0)
        is_test = error.reason is Reason.SELF_TEST_FAILED
        status = self._deeds.probation()
        soak = Soak(clean=False, seconds=status.seconds, errors=status.errors) if state.step in SWITCHED else state.soak
        self._move(
            Event.FAILED,
            replace(
                state,
                reason=error.reason,
                text=error.text[:500],
                self_test="failed" if is_test else state.self_test,
                soak=soak,
                report_due=True,
            ),
        )
        return True

    def _retry(self, text: str, after_s: float) -> bool:
        state = self.state
        attempt = state.attempt + 1
        if state.step in BEFORE_SWITCH and attempt >= MAX_FETCH_ATTEMPTS:
            return self._fail(UpdateFailedError(Reason.DOWNLOAD_FAILED, text))
        self._not_before = time.monotonic() + max(after_s, self._pause(attempt))
        log.info("Step %s is tried again later (attempt %d): %s", state.step, attempt, text)
        self._save(replace(state, attempt=attempt))
        return False

    def _move(self, event: Event, state: UpdateState) -> None:
        following = TRANSITIONS[state.step, event]
        self._not_before = 0.0
        self._save(replace(state, step=following, attempt=0))

    def _save(self, state: UpdateState) -> None:
        self._file.save(state)

    def reported(self) -> None:
        """A report that says what happened has been taken."""
        if self.state.report_due:
            self._save(replace(self.state, report_due=False))


def pause_s(attempt: int) -> float:
    """Doubling pauses from 1 s to 5 minutes, with a quarter of jitter: a fleet must not come back all at
    once.
    """
    pause = min(FIRST_PAUSE_S * 2.0 ** min(attempt - 1, 30), LAST_PAUSE_S)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
