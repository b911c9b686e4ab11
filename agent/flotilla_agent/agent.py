"""One device's agent: three threads around one state folder.

- *control* polls, updates and reports; it owns the update machine.
- *inference* reads the source, asks the models, cuts windows.
- *uplink* samples health and empties the outbox.

Each loop outlives its errors; all end within seconds of ``stop``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from flotilla_agent.client import Addresses, ControlPlane, RefusedError, UnreachableError
from flotilla_agent.clock import Clock
from flotilla_agent.health import HealthSampler, health_of
from flotilla_agent.identity import Enrolment, Identity
from flotilla_agent.inference.perturbation import PerturbationFile
from flotilla_agent.inference.runtime import Runtime
from flotilla_agent.inference.source import Source
from flotilla_agent.outbox import Outbox
from flotilla_agent.poll import Poller
from flotilla_agent.reports import report_make, report_send
from flotilla_agent.slots import Slots
from flotilla_agent.state_folder import StateFolder
from flotilla_agent.trust import BearerFetcher, Trust
from flotilla_agent.update.machine import Machine, pause_s
from flotilla_agent.update.state import StateFile, UpdateState
from flotilla_agent.update.steps import Deeds, StoppingError, SupersededError
from flotilla_agent.uplink import Uplink
from flotilla_protocol.messages import Soak

log = logging.getLogger(__name__)

DEFAULT_HEALTH_INTERVAL_S = 10.0
DEFAULT_WINDOW_INTERVAL_S = 60.0
DEFAULT_REPORT_INTERVAL_S = 300.0
IDLE_S = 0.2  # the longest a loop sleeps before it looks whether it should end
STOP_DEADLINE_S = 10.0


@dataclass
class Options:
    """What the person who starts the agent decides."""

    rate_hz: float = 5.0  # inputs per second
    attributes: dict[str, str] = field(default_factory=dict)


class Agent:
    """Everything of one enrolled device, wired together.

    Args:
        folder: its state folder, locked by the caller.
        identity: its key.
        enrolment: whom it belongs to.
        open_source: opens the source of inputs; None for a device without one.
        options: see there.
        http: tests may give a client.
        pause: gives the pause after so many failures, in seconds.
    """

    def __init__(
        self,
        *,
        folder: StateFolder,
        identity: Identity,
        enrolment: Enrolment,
        open_source: Callable[[PerturbationFile], Source] | None = None,
        options: Options | None = None,
        http: httpx.Client | None = None,
        pause: Callable[[int], float] = pause_s,
    ) -> None:
        self.options = options or Options()
        self.clock = Clock()
        self.slots = Slots(folder.models)
        self.outbox = Outbox(folder.outbox)
        self.control_plane = ControlPlane(
            Addresses(enrolment.server, enrolment.tenant, enrolment.controller_id),
            identity.key,
            self.clock,
            http,
            identity.tls if http is None else None,
        )
        self.runtime = Runtime(self.clock, self.outbox.put_windows)
        self._folder = folder
        self._identity = identity
        self._root = identity.root_metadata
        deeds = Deeds(
            control_plane=self.control_plane,
            trust=self._trust,
            slots=self.slots,
            runtime=self.runtime,
            keep_going=self._keep_going,
        )
        self.machine = Machine(StateFile(folder.update), self.slots, deeds, pause)
        self.poller = Poller(self.control_plane, self.machine, self.options.attributes)
        self.uplink = Uplink(self.control_plane, self.outbox, self._telemetry_url)
        self._source = open_source(PerturbationFile(folder.control)) if open_source else None
        self._sampler = HealthSampler(folder.root, self.clock)
        self.stop = threading.Event()
        self._pause = pause
        self._poll_due = self._report_due = self._report_not_before = 0.0
        self._poll_failures = self._report_failures = 0

    # --- Life -------------------------------------------------------------------------------------------
    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set; then end in good order."""
        self.stop = stop
        self.machine.resume()
        threads = [
            threading.Thread(target=self._loop, args=(name, turn), name=name)
            for name, turn in (
                ("control", self.control_turn),
                ("inference", self._inference_turn()),
                ("uplink", self._uplink_turn()),
            )
        ]
        for thread in threads:
            thread.start()
        stop.wait()
        deadline = time.monotonic() + STOP_DEADLINE_S
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.1))
        self.runtime.cut_windows()
        self.machine.stopping()
        self.control_plane.close()

    def _loop(self, name: str, turn: Callable[[], float]) -> None:
        """Take turns until asked to stop; ``turn`` returns the seconds to the next."""
        failures = 0
        while not self.stop.is_set():
            try:
                pause, failures = turn(), 0
            except Exception:
                # One odd moment must not end a device's work; it is logged, and repeated ones slow down.
                failures += 1
                log.exception("The %s loop met an unforeseen error", name)
                pause = min(pause_s(failures), 30.0)
            self.stop.wait(max(pause, 0.0))

    # --- Control ------------------------------------------------------------------------------------------
    def control_turn(self) -> float:
        """Poll if it is time, move the update on, report if there is something to say."""
        if time.monotonic() >= self._poll_due:
            self.poll_now()
        while not self.stop.is_set() and self.machine.advance():
            pass
        is_due = self.machine.state.report_due or time.monotonic() >= self._report_due
        if is_due and time.monotonic() >= self._report_not_before:
            self.report_now()
        return IDLE_S

    def poll_soon(self) -> None:
        """Let the next look at the time find a poll due."""
        self._poll_due = 0.0

    def poll_now(self) -> bool:
        """Poll once; on failure the next poll is put off. Returns whether it went well."""
        try:
            self.poller.poll()
        except (UnreachableError, RefusedError) as error:
            self._poll_failures += 1
            after_s = error.after_s if isinstance(error, UnreachableError) else 0.0
            pause = max(after_s, min(self._pause(self._poll_failures), self.poller.interval_s))
            self._poll_due = time.monotonic() + pause
            log.info("Polling again in %.1f s: %s", pause, error)
            return False
        self._poll_failures = 0
        self._poll_due = time.monotonic() + self.poller.interval_s
        return True

    def report_now(self) -> bool:
        """Send a version report; on failure it stays due. Returns whether it was taken."""
        configuration = self.poller.configuration
        if configuration is None:
            return False
        status = self.runtime.probation()
        soaking = Soak(clean=None, seconds=status.seconds, errors=status.errors)
        report = report_make(
            control_plane=self.control_plane, slots=self.slots, state=self.machine.state, soaking=soaking
        )
        try:
            report_send(self.control_plane, configuration.links.reports, report, self._identity.key)
        except (UnreachableError, RefusedError) as error:
            log.info("The report waits: %s", error)
            self._report_failures += 1
            self._report_not_before = time.monotonic() + min(self._pause(self._report_failures), 60.0)
            return False
        self._report_failures = 0
        self.machine.reported()
        self._report_due = time.monotonic() + configuration.report_interval_s
        return True

    def _keep_going(self) -> None:
        """Called for each block of a download: end with the process, and notice a cancel."""
        if self.stop.is_set():
            raise StoppingError
        if time.monotonic() >= self._poll_due:
            before = self._position()
            self.poll_now()
            if self._position() != before:
                raise SupersededError

    def _position(self) -> tuple[str, int]:
        state: UpdateState = self.machine.state
        return state.step, state.number

    def _trust(self) -> Trust:
        configuration = self.poller.configuration or self.poller.configure()
        return Trust(self._folder.trust, self._root, configuration.links.metadata, BearerFetcher(self.control_plane))

    # --- Inference ------------------------------------------------------------------------------------------
    def _inference_turn(self) -> Callable[[], float]:
        next_input = last_cut = time.monotonic()

        def turn() -> float:
            nonlocal next_input, last_cut
            now = time.monotonic()
            configuration = self.poller.configuration
            window_s = configuration.window_interval_s if configuration else DEFAULT_WINDOW_INTERVAL_S
            if now - last_cut >= window_s:
                self.runtime.cut_windows()
                last_cut = now
            if self._source is None:
                return IDLE_S
            if now >= next_input:
                try:
                    self.runtime.process(self._source.read())
                except OSError as error:
                    log.warning("The source gives nothing: %s", error)
                    return 1.0
                # A loop that fell behind does not catch up by a burst: a camera's missed frames are gone.
                next_input = max(next_input + 1 / self.options.rate_hz, now)
            return min(next_input - time.monotonic(), last_cut + window_s - time.monotonic(), IDLE_S)

        return turn

    # --- Uplink
    # -----------------------------------------------------------------------------------------------
    def _uplink_turn(self) -> Callable[[], float]:
        next_send, last_sample = time.monotonic(), float("-inf")

        def turn() -> float:
            nonlocal next_send, last_sample
            now = time.monotonic()
            configuration = self.poller.configuration
            health_s = configuration.health_interval_s if configuration else DEFAULT_HEALTH_INTERVAL_S
            if now - last_sample >= health_s:
                self.outbox.put_health(health_of([(self.clock.now_ms(), self._sampler.sample())]))
                last_sample = now
            if now >= next_send:
                next_send = time.monotonic() + self.uplink.drain()
            return min(last_sample + health_s - time.monotonic(), IDLE_S)

        return turn

    def _telemetry_url(self) -> str | None:
        configuration = self.poller.configuration
        return configuration.links.telemetry if configuration else None
