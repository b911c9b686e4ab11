"""One simulated device. Its life on the wire is real; its camera, clock and vital signs are the
simulator's.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flotilla_agent import __version__
from flotilla_agent.client import Addresses, RefusedError, UnreachableError
from flotilla_agent.ddi import Cancel, Deployment, Feedback, Install, Order, Root, action_number, order_of
from flotilla_agent.reasons import Reason, RetryLaterError, UpdateFailedError
from flotilla_agent.simulator import installing
from flotilla_agent.simulator.faults import Faults, OfflineError, Phase
from flotilla_agent.simulator.record import DeviceRecord, Installed
from flotilla_agent.simulator.telemetry import DeviceTelemetry
from flotilla_agent.simulator.traits import Traits
from flotilla_agent.simulator.wire import Wire
from flotilla_agent.trust import Target
from flotilla_protocol import identity as proofs
from flotilla_protocol.messages import (
    AgentConfiguration,
    EnrolRequest,
    EnrolResponse,
    Hardware,
    RunningModel,
    SignedReport,
    Soak,
    VersionReport,
)

if TYPE_CHECKING:
    from flotilla_agent.simulator.fleet import Fleet

log = logging.getLogger(__name__)

PHASES: tuple[Phase, ...] = ("downloading", "verifying", "installing")
PROBATION_ERRORS = 3  # after which a device takes a candidate back
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class SimulatedDevice:
    """A device of a fleet; made by ``Fleet.add``.

    Attributes:
        faults: what is wrong with it; change at any time.
        record: what it remembers (running versions, last action).
        last_error: why the last ``step`` ended early, or None.
        telemetry: its queue, and how many batches were acknowledged or dropped.
    """

    def __init__(self, fleet: Fleet, traits: Traits, path: Path) -> None:
        self.traits = traits
        self.faults = Faults()
        self.last_error: Exception | None = None
        self.configuration: AgentConfiguration | None = None
        self._fleet = fleet
        self._path = path
        loaded = DeviceRecord.load(path)
        key = proofs.key_from_pem(loaded.key_pem.encode()) if loaded else proofs.key_generate()
        self.record = loaded or DeviceRecord(key_pem=proofs.key_to_pem(key).decode())
        self._key = key
        self.wire = Wire(
            http=fleet.http,
            addresses=Addresses(fleet.server, fleet.tenant, traits.controller_id),
            key=key,
            faults=self.faults,
            now=fleet.now,
            turns=fleet.turns,
        )
        self._rng = np.random.default_rng([fleet.seed, *traits.controller_id.encode()])
        self._etag = ""
        self._order: Order | None = None
        self._phase: Phase = "downloading"
        self._told: tuple[int, str] = (0, "")
        self._targets: dict[str, tuple[Target, Target]] = {}
        self._soak_began = fleet.now()
        self._soak_errors = 0
        self._report_due = True
        self._next_report = fleet.now()
        self.telemetry = DeviceTelemetry(
            fleet=fleet, traits=traits, faults=self.faults, record=self.record, wire=self.wire, save=self._save
        )

    @property
    def controller_id(self) -> str:
        """The device's own id."""
        return self.traits.controller_id

    @property
    def is_updating(self) -> bool:
        """Whether an action is under way (the soak aside)."""
        return self._order is not None

    def _save(self) -> None:
        self.record.save(self._path)

    # --- Ticks ------------------------------------------------------------------------------------------
    async def step(self, *, window: bool = True) -> None:
        """One tick: enrol if needed, poll and act, observe, report if there is something to say.

        Never raises for what networks and control planes do: ``last_error`` says what went wrong.

        Args:
            window: whether a health sample and an inference window end now.
        """
        self.last_error = None
        try:
            if window:
                await self.telemetry.observe()
            if not self.record.is_enrolled:
                await self.enrol()
            await self.poll()
            await self.update()
            await self.soak()
            assert self.configuration is not None
            await self.telemetry.send(self.configuration.links.telemetry)
            if self._report_due or self._fleet.now() >= self._next_report:
                await self.report()
        except (OfflineError, UnreachableError, RefusedError, RetryLaterError) as error:
            self.last_error = error
            log.debug("%s: %s", self.controller_id, error or type(error).__name__)

    async def run(self, stop: asyncio.Event) -> None:
        """Tick at the configured intervals, each a little off, until ``stop`` is set."""
        failures = 0
        next_window = self._fleet.now()
        pause = float(self._rng.uniform(0, self._fleet.options.first_poll_within_s))
        while not await _is_set_within(stop, pause):
            now = self._fleet.now()
            is_window = now >= next_window
            if is_window:
                next_window = now + timedelta(seconds=self._window_s * float(self._rng.uniform(0.95, 1.05)))
            try:
                await self.step(window=is_window)
            except Exception as error:
                # One device's odd moment must not end the others'.
                log.exception("%s met an unforeseen error", self.controller_id)
                self.last_error = error
            failures = failures + 1 if self.last_error is not None else 0
            interval = self.configuration.poll_interval_s if self.configuration else 5.0
            pause = min(interval * 2 ** min(failures, 4), 30.0) if failures else interval
            if isinstance(self.last_error, UnreachableError | RetryLaterError):
                pause = max(pause, self.last_error.after_s)
            pause *= float(self._rng.uniform(0.85, 1.15))

    @property
    def _window_s(self) -> float:
        return self.configuration.window_interval_s if self.configuration else 5.0

    # --- Joining ----------------------------------------------------------------------------------------
    async def enrol(self) -> None:
        """Join with the token; repeating after a lost answer is safe.

        Raises:
            RefusedError, UnreachableError, OfflineError: see ``Wire.request``.
        """
        self._save()  # the key first: the same key must be there when the answer is lost
        request = EnrolRequest(
            token=self.traits.token,
            controller_id=self.controller_id,
            name=self.traits.name or self.controller_id,
            csr_pem=proofs.csr_make(self._key, self.controller_id),
            agent_version=__version__,
            hardware=Hardware(profile=self.traits.profile, architecture="simulated"),
            attributes={**dict(self.traits.attributes), "simulated": "yes"},
        )
        answer = await self.wire.request("POST", self.wire.addresses.enrol, message=request, authenticated=False)
        self.record.root_metadata = answer.message(EnrolResponse).root_metadata
        self.record.is_enrolled = True
        self._save()

    # --- Polling ----------------------------------------------------------------------------------------
    async def poll(self) -> bool:
        """Poll once and take what is asked. Returns whether anything was new (no 304).

        Raises:
            RefusedError, UnreachableError, OfflineError: see ``Wire.request``.
        """
        headers = {"If-None-Match": self._etag} if self._etag else {}
        answer = await self.wire.request("GET", self.wire.addresses.root, headers=headers)
        if answer.status == HTTPStatus.NOT_MODIFIED:
            return False
        self._etag = ""
        root = answer.message(Root)
        configured = await self.wire.request("GET", self.wire.addresses.configuration)
        self.configuration = configured.message(AgentConfiguration)
        if root.links.config_data is not None:
            data = {**dict(self.traits.attributes), "agent": __version__, "simulated": "yes"}
            await self.wire.request(
                "PUT", f"{self.wire.addresses.root}/configData", message={"mode": "merge", "data": data}
            )
        try:
            if root.links.cancel_action is not None:
                cancel = await self.wire.request("GET", root.links.cancel_action.href)
                await self._cancel(action_number(cancel.message(Cancel).cancel_action.stop_id))
            elif root.links.deployment_base is not None:
                answered = await self.wire.request("GET", root.links.deployment_base.href)
                deployment = answered.message(Deployment)
                try:
                    order = order_of(deployment)
                except UpdateFailedError as error:
                    await self._refuse(action_number(deployment.id), error)
                else:
                    await self._offer(order)
        except UpdateFailedError as error:
            log.warning("%s: %s", self.controller_id, error)
        self._etag = answer.headers.get("ETag", "")
        return True

    async def _refuse(self, number: int, error: UpdateFailedError) -> None:
        url = f"{self.wire.addresses.root}/deploymentBase/{number}/feedback"
        await self._tolerating_gone(url, Feedback.of("closed", "failure", error.reason, error.text))

    async def _offer(self, order: Order) -> None:
        if order.number != self.record.number:
            if not order.may_download:
                return
            self._order, self._phase, self._targets = order, "downloading", {}
            self.record.number = order.number
            self.record.is_closed = self.record.is_outcome_due = False
            self.record.reason = self.record.text = ""
            self.record.self_test, self.record.soak = "not_run", Soak(clean=None, seconds=0.0, errors=0)
            self.record.is_soaking = False
            self.record.soak_s, self.record.shadow_every = order.soak_s, order.shadow_every
            self._save()
        elif self._order is not None:
            self._order = order
        elif self.record.is_closed or self.record.is_outcome_due:
            await self._close()  # the answer to the first closing was lost
        else:
            self._order, self._phase = order, "downloading"  # the fleet was restarted in between

    async def _cancel(self, number: int) -> None:
        installed = number == self.record.number and self._order is None and not self.record.reason
        if self._order is not None and self._order.number == number:
            self._order = None
            self.record.reason, self.record.text = Reason.CANCELLED, "Cancelled by the operator."
            self.record.is_closed = True
            self._save()
        feedback = (
            Feedback.of("rejected", "none", "The switch is made already.")
            if installed
            else Feedback.of("closed", "success", "Cancelled before the switch.")
        )
        url = f"{self.wire.addresses.root}/cancelAction/{number}/feedback"
        await self._tolerating_gone(url, feedback)

    # --- Updating ---------------------------------------------------------------------------------------
    async def update(self) -> None:
        """Carry the action under way as far as it goes: to its end, to a stall, or to a broken line.

        Raises:
            RetryLaterError, UnreachableError, OfflineError, RefusedError: it goes on at the next call.
        """
        order = self._order
        if order is None:
            if self.record.is_outcome_due:
                await self._close()
            return
        try:
            if not await self._carry_on(order):
                return
            self._switch(order)
        except UpdateFailedError as error:
            self.record.reason, self.record.text = error.reason, error.text
            if error.reason is Reason.SELF_TEST_FAILED:
                self.record.self_test = "failed"
            self._report_due = True
        self._order = None
        self.record.is_outcome_due = True
        self._save()
        await self._close()

    async def _carry_on(self, order: Order) -> bool:
        """Do the phases that are left. Returns whether the switch may be made."""
        for phase in PHASES[PHASES.index(self._phase) :]:
            self._phase = phase
            if order.installs or phase == "installing":  # a removal fetches nothing
                await self._tell(order, phase)
            if self.faults.stalls_at == phase:
                return False
            for install in order.installs:
                if phase == "downloading":
                    await self._download(install)
                    continue
                manifest = self._targets[install.model][1]
                if phase == "verifying":
                    installing.verify_content(install, manifest, self._fleet.library)
                else:
                    await installing.self_test(install, manifest, faults=self.faults, library=self._fleet.library)
        return order.may_install

    async def _download(self, install: Install) -> None:
        fleet = self._fleet
        async with fleet.verified.gate(install):
            known = None if self.faults.corrupts_download else fleet.verified.known(install)
            model, manifest = known or await self._verify_metadata(install)
            await installing.download_all(
                install,
                model,
                manifest,
                wire=self.wire,
                faults=self.faults,
                library=fleet.library,
                may_share=known is not None,
            )
            fleet.verified.learn(install, model, manifest)
        self._targets[install.model] = (model, manifest)

    async def _verify_metadata(self, install: Install) -> tuple[Target, Target]:
        assert self.configuration is not None
        return await installing.targets_of(
            install,
            wire=self.wire,
            root=self.record.root_metadata.encode(),
            metadata_url=self.configuration.links.metadata,
            folder=self._path.with_suffix(".trust"),
        )

    def _switch(self, order: Order) -> None:
        now = self._fleet.now()
        self.record.self_test = "passed" if order.installs else "not_run"
        self.record.previous = {}
        for model in order.removals:
            if not self.faults.claims_only:
                self.record.previous[model] = self.record.running.pop(model, None)
        for install in order.installs:
            current = self.record.running.get(install.model)
            if self.faults.claims_only:
                continue
            self.record.previous[install.model] = current
            self.record.running[install.model] = Installed(
                version=install.version,
                digest=install.digest,
                manifest_digest=self._targets[install.model][1].sha256,
                since=now,
                slot="b" if current and current.slot == "a" else "a",
            )
        self.record.is_soaking = not self.faults.claims_only
        self._soak_began, self._soak_errors = now, 0
        self.telemetry.begin_window()
        self._report_due = True

    async def soak(self) -> None:
        """Look whether probation is over: clean after its time, taken back after errors."""
        if not self.record.is_soaking:
            return
        seconds = max((self._fleet.now() - self._soak_began).total_seconds(), 0.0)
        if self.faults.fails_in_probation:
            self._soak_errors += 1
        if self._soak_errors >= PROBATION_ERRORS:
            for model, previous in self.record.previous.items():
                if previous is None:
                    self.record.running.pop(model, None)
                else:
                    self.record.running[model] = previous
            self.record.reason = Reason.RUNTIME_ERROR
            self.record.text = f"The candidate failed on {self._soak_errors} inputs its predecessor answers."
            self.record.soak = Soak(clean=False, seconds=seconds, errors=self._soak_errors)
        elif seconds >= self.record.soak_s:
            self.record.soak = Soak(clean=True, seconds=seconds, errors=self._soak_errors)
        else:
            return
        self.record.is_soaking = False
        self._report_due = True
        self._save()

    # --- Saying so --------------------------------------------------------------------------------------
    async def _tell(self, order: Order, phase: Phase) -> None:
        if self._told == (order.number, phase):
            return
        url = f"{self.wire.addresses.root}/deploymentBase/{order.number}/feedback"
        await self._tolerating_gone(url, Feedback.of("proceeding", "none", phase))
        self._told = (order.number, phase)

    async def _close(self) -> None:
        is_removal = self.record.self_test == "not_run"
        done = "The model is removed." if is_removal else "The switch is made and the self-test passed."
        feedback = (
            Feedback.of("closed", "failure", self.record.reason, self.record.text)
            if self.record.reason
            else Feedback.of("closed", "success", done)
        )
        url = f"{self.wire.addresses.root}/deploymentBase/{self.record.number}/feedback"
        await self._tolerating_gone(url, feedback)
        self.record.is_closed, self.record.is_outcome_due = True, False
        self._save()

    async def _tolerating_gone(self, url: str, feedback: Feedback) -> None:
        try:
            await self.wire.request("POST", url, message=feedback)
        except RefusedError as error:
            if error.status not in _GONE:
                raise

    async def report(self) -> VersionReport:
        """Sign and send what runs (with this device's lies). Returns the report.

        Raises:
            RefusedError, UnreachableError, OfflineError: see ``Wire.request``.
        """
        assert self.configuration is not None
        now = self._fleet.now()
        soak = self.record.soak
        if self.record.is_soaking:
            soak = Soak(clean=None, seconds=max((now - self._soak_began).total_seconds(), 0.0), errors=0)
        report = VersionReport(
            controller_id=self.controller_id,
            action_number=self.record.number,
            running=[
                RunningModel(
                    model=model,
                    version=self.faults.lies_about_version or installed.version,
                    digest=self.faults.lies_about_digest or installed.digest,
                    since=installed.since,
                    slot=installed.slot,
                )
                for model, installed in self.record.running.items()
            ],
            self_test=self.record.self_test,
            soak=soak,
            agent_version=__version__,
            sent_at=now,
            nonce=secrets.token_urlsafe(18),
        )
        jws = proofs.report_sign(report, self._key)
        await self.wire.request("POST", self.configuration.links.reports, message=SignedReport(jws))
        self._report_due = False
        self._next_report = now + timedelta(seconds=self.configuration.report_interval_s)
        return report

    def is_soaking_until(self) -> datetime | None:
        """When probation ends if nothing goes wrong; None when there is none."""
        if not self.record.is_soaking:
            return None
        return self._soak_began + timedelta(seconds=self.record.soak_s)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, but not longer. Returns whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
