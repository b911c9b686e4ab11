"""What each step of an update does. Every deed may be done twice: after a crash it will be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from msgspec.structs import replace

from flotilla_agent.client import ControlPlane, RefusedError, UnreachableError
from flotilla_agent.ddi import MANIFEST_FILE, MODEL_FILE, Feedback
from flotilla_agent.download import download, is_verified
from flotilla_agent.inference.runtime import ProbationStatus, Runtime
from flotilla_agent.model import LoadedModel, ModelError
from flotilla_agent.reasons import Reason, RetryLaterError, UpdateFailedError
from flotilla_agent.slots import Label, Slot, SlotRecord, Slots
from flotilla_agent.trust import Target, Trust
from flotilla_agent.update.state import Placement, Step, UpdateState
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.manifest import MAX_MANIFEST_BYTES, manifest_decode
from flotilla_protocol.messages import Soak

log = logging.getLogger(__name__)

MAX_PROBATION_ERRORS = 3  # inputs a candidate may fail on that its predecessor answers, less one

_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class SupersededError(Exception):
    """The control plane spoke while a step was under way, and the update is in another step already."""


class StoppingError(Exception):
    """The process is asked to end; the step is done again at the next start."""


class ActionGoneError(Exception):
    """The control plane no longer knows this action as an open one."""


class Deeds:
    """The steps' work.

    Args:
        control_plane: the connection.
        trust: gives the verified view of the image repository.
        slots: where models are.
        runtime: what runs.
        keep_going: called often while bytes come; raises to stop.
    """

    def __init__(
        self,
        *,
        control_plane: ControlPlane,
        trust: Callable[[], Trust],
        slots: Slots,
        runtime: Runtime,
        keep_going: Callable[[], None],
    ) -> None:
        self._control_plane = control_plane
        self._trust = trust
        self._slots = slots
        self._runtime = runtime
        self._keep_going = keep_going
        self._told = ("", "")
        self._work: dict[Step, Callable[[UpdateState], UpdateState | None]] = {
            Step.FETCH: self._fetch,
            Step.VERIFY: self._verify,
            Step.TEST: self._test,
            Step.SWITCH: self._switch,
            Step.CLOSE: self._close,
            Step.PROBATION: self._soak,
            Step.ROLL_BACK: self._roll_back,
            Step.REFUSE: self._refuse,
            Step.CANCEL: self._cancel,
        }

    def carry_out(self, state: UpdateState) -> UpdateState | None:
        """Do the state's step. Returns the state to keep when it is done, None when it must wait.

        Raises:
            UpdateFailedError: it cannot be done.
            RetryLaterError, UnreachableError, RefusedError: not now.
            ActionGoneError: the control plane closed the action.
        """
        return self._work[state.step](state)

    # --- Before the switch: the running version is not touched --------------------------------------------
    def _fetch(self, state: UpdateState) -> UpdateState:
        if not state.placements:
            return state  # a removal needs no bytes
        self._tell(state, "downloading")
        targets = self._targets(state)
        return replace(state, placements=[self._fetch_one(placement, targets) for placement in state.placements])

    def _fetch_one(self, placement: Placement, targets: dict[str, Target]) -> Placement:
        """Fill the placement's slot. A slot that runs is never written to: the spare one is taken instead."""
        install = placement.install
        model, manifest = self._signed(placement, targets)
        if self._is_complete(placement, manifest):
            return placement
        if placement.slot == self._slots.current_label(install.model):
            placement = replace(placement, slot=self._slots.spare_label(install.model))
        folder = self._slots.folder(install.model, placement.slot)
        self._slots.begin(install.model, placement.slot)
        for href, target, name in (
            (install.manifest_href, manifest, MANIFEST_FILE),
            (install.model_href, model, MODEL_FILE),
        ):
            download(self._control_plane, href, target, folder / name, self._keep_going)
        return placement

    def _verify(self, state: UpdateState) -> UpdateState:
        if not state.placements:
            return state
        self._tell(state, "verifying")
        targets = self._targets(state)
        for placement in state.placements:
            self._verify_one(placement, targets)
        return state

    def _verify_one(self, placement: Placement, targets: dict[str, Target]) -> None:
        install = placement.install
        model, manifest = self._signed(placement, targets)
        folder = self._slots.folder(install.model, placement.slot)
        for target, name in ((model, MODEL_FILE), (manifest, MANIFEST_FILE)):
            if not is_verified(folder / name, target):
                # Right when they came, wrong now: the disk, or somebody at it.
                (folder / name).unlink(missing_ok=True)
                raise UpdateFailedError(Reason.DIGEST_MISMATCH, f"{target.path} changed on the disk.")
        try:
            content = manifest_decode((folder / MANIFEST_FILE).read_bytes())
        except InvalidMessageError as error:
            raise UpdateFailedError(Reason.MANIFEST_INVALID, str(error)) from error
        found = (content.model, content.version, content.digest)
        if found != (install.model, install.version, install.digest):
            raise UpdateFailedError(
                Reason.MANIFEST_INVALID,
                f"The manifest is about {content.model} {content.version}, not {install.model} {install.version}.",
            )
        if not self._is_complete(placement, manifest):
            record = SlotRecord(install.version, install.digest, manifest.sha256, self._control_plane.clock.now())
            self._slots.complete(install.model, placement.slot, record)

    def _test(self, state: UpdateState) -> UpdateState | None:
        self._tell(state, "installing")
        for placement in state.placements:
            slot = self._candidate(placement)
            try:
                LoadedModel(slot).self_test()
            except ModelError as error:
                raise UpdateFailedError(Reason.SELF_TEST_FAILED, str(error)) from error
        if not state.may_install:
            return None  # a closed maintenance window: everything is ready, the switch waits
        return replace(state, self_test="passed") if state.placements else state

    # --- The switch and after ---------------------------------------------------------------------------
    def _switch(self, state: UpdateState) -> UpdateState:
        for placement in state.placements:
            self._slots.switch(placement.install.model, placement.slot)
        for removal in state.removals:
            self._slots.switch(removal.model, None)
        try:
            self._run(state)
        except ModelError as error:
            raise UpdateFailedError(Reason.RUNTIME_ERROR, str(error)) from error
        self._tell(state, "probation")
        return replace(state, report_due=True, starts=0)

    def _close(self, state: UpdateState) -> UpdateState:
        self.close(state)
        return replace(state, is_closed=True)

    def _soak(self, state: UpdateState) -> UpdateState | None:
        status = self._runtime.probation()
        if status.seconds < state.soak_s:
            return None
        self._runtime.settle()
        for removal in state.removals:
            self._slots.clear(removal.model)
        return replace(
            state,
            soak=Soak(clean=True, seconds=status.seconds, errors=status.errors),
            report_due=True,
            starts=0,
        )

    def judge(self) -> None:
        """Look at the candidates that run.

        Raises:
            UpdateFailedError: they fail too often.
        """
        status = self._runtime.probation()
        if status.errors >= MAX_PROBATION_ERRORS:
            raise UpdateFailedError(
                Reason.RUNTIME_ERROR, f"The candidate failed on {status.errors} inputs its predecessor answers."
            )

    def _roll_back(self, state: UpdateState) -> UpdateState:
        for placement in state.placements:
            self._slots.switch(placement.install.model, placement.previous)
        for removal in state.removals:
            self._slots.switch(removal.model, removal.previous)
        self.run_current(state)
        for placement in state.placements:
            if placement.slot != placement.previous:
                self._slots.discard(placement.install.model, placement.slot)
        return replace(state, report_due=True)

    def _refuse(self, state: UpdateState) -> UpdateState:
        if not state.is_closed:
            self.close(state)
        self._tidy(state)
        return replace(state, is_closed=True)

    def _cancel(self, state: UpdateState) -> UpdateState:
        if not state.is_closed:
            self.answer_cancel(state.number, accepted=True)
        self._tidy(state)
        return replace(state, is_closed=True)

    def _tidy(self, state: UpdateState) -> None:
        """Empty slots a dead update has left half filled; a complete one may serve later."""
        for placement in state.placements:
            if self._slots.slot(placement.install.model, placement.slot) is None:
                self._slots.discard(placement.install.model, placement.slot)

    # --- What runs ------------------------------------------------------------------------------------------
    def run_current(self, state: UpdateState) -> None:
        """Let the run loop use what the links name: at start, and after a roll-back.

        A model whose current slot has decayed runs from its other slot; one that cannot run at all is left
        out, so that the others do.
        """
        if state.step in {Step.SWITCH, Step.CLOSE, Step.PROBATION}:
            try:
                self._run(state)
            except ModelError as error:
                log.warning("The candidate cannot be loaded: %s", error)
            else:
                return
        plan: dict[str, tuple[Slot, Slot | None]] = {}
        for model in self._slots.models():
            slot = self._slots.repair(model)
            if slot is None:
                continue
            try:
                LoadedModel(slot)
            except ModelError:
                log.exception("%s cannot be loaded", model)
                continue
            plan[model] = (slot, None)
        self._runtime.apply(plan)

    def _run(self, state: UpdateState) -> None:
        """Run the links' models, those of the update in probation."""
        previous = {placement.install.model: placement.previous for placement in state.placements}
        plan: dict[str, tuple[Slot, Slot | None]] = {}
        for model in self._slots.models():
            current = self._slots.current(model)
            if current is None:
                continue
            label: Label | None = previous.get(model)
            shadow = self._slots.slot(model, label) if label != current.label else None
            plan[model] = (current, shadow)
        self._runtime.apply(plan, shadow_every=state.shadow_every, in_probation=True)

    def probation(self) -> ProbationStatus:
        """How the candidates do."""
        return self._runtime.probation()

    # --- What is signed, what is there
    # ------------------------------------------------------------------------
    def _targets(self, state: UpdateState) -> dict[str, Target]:
        paths = [
            path
            for placement in state.placements
            for path in (placement.install.model_target, placement.install.manifest_target)
        ]
        return self._trust().targets(paths)

    @staticmethod
    def _signed(placement: Placement, targets: dict[str, Target]) -> tuple[Target, Target]:
        install = placement.install
        model, manifest = targets[install.model_target], targets[install.manifest_target]
        if model.sha256 != install.digest:
            raise UpdateFailedError(
                Reason.DIGEST_MISMATCH, f"The deployment asks for another file than {model.path} is signed as."
            )
        if manifest.size_bytes > MAX_MANIFEST_BYTES:
            raise UpdateFailedError(Reason.MANIFEST_INVALID, f"{manifest.path} is larger than a manifest may be.")
        return model, manifest

    def _is_complete(self, placement: Placement, manifest: Target) -> bool:
        slot = self._slots.slot(placement.install.model, placement.slot)
        return (
            slot is not None
            and slot.record.digest == placement.install.digest
            and slot.record.manifest_digest == manifest.sha256
            and slot.is_sound()
        )

    def _candidate(self, placement: Placement) -> Slot:
        slot = self._slots.slot(placement.install.model, placement.slot)
        if slot is None:
            raise UpdateFailedError(Reason.INTERNAL_ERROR, "The verified slot is gone.")
        return slot

    # --- What is said
    # -------------------------------------------------------------------------------------------
    def _tell(self, state: UpdateState, phase: str) -> None:
        """Say how far it is, once per phase. Only a closed action matters here; a lost message does not."""
        if self._told == (str(state.number), phase):
            return
        try:
            self.feedback(str(state.number), Feedback.of("proceeding", "none", phase))
        except (UnreachableError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.status in _GONE and state.step is not Step.SWITCH:
                raise ActionGoneError from error
            log.info("Progress could not be told: %s", error)
        self._told = (str(state.number), phase)

    def close(self, state: UpdateState) -> None:
        """Tell the outcome. An action closed already (410), or unknown, needs no more telling.

        Raises:
            UnreachableError: it cannot be delivered now.
        """
        if state.reason:
            feedback = Feedback.of("closed", "failure", state.reason, state.text)
        elif state.placements:
            feedback = Feedback.of("closed", "success", "The switch is made and the self-test passed.")
        else:
            feedback = Feedback.of("closed", "success", "The model is removed.")
        try:
            self.feedback(str(state.number), feedback)
        except RefusedError as error:
            if error.status not in _GONE:
                raise RetryLaterError(str(error)) from error

    def feedback(self, number: str, feedback: Feedback) -> None:
        """Post a deployment feedback."""
        url = f"{self._control_plane.addresses.root}/deploymentBase/{number}/feedback"
        self._control_plane.request("POST", url, message=feedback)

    def answer_cancel(self, number: int, *, accepted: bool) -> None:
        """Answer a cancel: ``closed/success`` before the switch, ``rejected`` after it."""
        feedback = (
            Feedback.of("closed", "success", "Cancelled before the switch.")
            if accepted
            else Feedback.of("rejected", "none", "The switch is made already.")
        )
        url = f"{self._control_plane.addresses.root}/cancelAction/{number}/feedback"
        try:
            self._control_plane.request("POST", url, message=feedback)
        except RefusedError as error:
            # 404, 405, 410: it is over on the other end, too.
            log.info("The cancel needed no answer: %s", error)
