"""What a simulated device observes and sends: windows from real outputs, vital signs, exact sequences."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from flotilla_agent.client import UnreachableError
from flotilla_agent.model import ModelError
from flotilla_agent.simulator.faults import Faults
from flotilla_agent.simulator.record import SEQUENCES_AT_ONCE, DeviceRecord
from flotilla_agent.simulator.traits import Traits
from flotilla_agent.simulator.vitals import Vitals
from flotilla_agent.simulator.wire import Wire
from flotilla_protocol import codec
from flotilla_protocol.messages import (
    STREAM_WINDOWS,
    InferenceReport,
    TelemetryBatch,
    TelemetryReceipt,
    telemetry_encode,
)

if TYPE_CHECKING:
    from flotilla_agent.simulator.fleet import Fleet

log = logging.getLogger(__name__)

QUEUE_BATCHES = 200  # kept while the control plane is away


class DeviceTelemetry:
    """One device's telemetry. Health and windows of a tick share a batch: half the requests of a fleet.

    Attributes:
        acknowledged: batches the control plane has acknowledged to this process.
        dropped: batches given up because the queue was full.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        traits: Traits,
        faults: Faults,
        record: DeviceRecord,
        wire: Wire,
        save: Callable[[], None],
    ) -> None:
        self.acknowledged = 0
        self.dropped = 0
        self._fleet = fleet
        self._traits = traits
        self._faults = faults
        self._record = record
        self._wire = wire
        self._save = save
        self._rng = np.random.default_rng([fleet.seed, 1, *traits.controller_id.encode()])
        self._vitals = Vitals(self._rng, fleet.now_ms())
        self._window_began_ms = fleet.now_ms()
        self._sequence = record.sequences_reserved
        self._queue: deque[TelemetryBatch] = deque()

    def begin_window(self) -> None:
        """A window begins now: a switch must not fall inside one."""
        self._window_began_ms = self._fleet.now_ms()

    async def observe(self) -> None:
        """End a window: queue one health sample and one inference window per running model."""
        ended_ms = self._fleet.now_ms()
        started_ms, self._window_began_ms = self._window_began_ms, ended_ms
        windows = [
            window
            for model in list(self._record.running)
            if (window := await self._window_of(model, started_ms, ended_ms)) is not None
        ]
        health = self._vitals.sample(ended_ms, clock_offset_s=0.0)
        self._queue.append(TelemetryBatch(STREAM_WINDOWS, self._next_sequence(), health, windows))
        while len(self._queue) > QUEUE_BATCHES:
            self._queue.popleft()
            self.dropped += 1

    async def _window_of(self, model: str, started_ms: int, ended_ms: int) -> InferenceReport | None:
        installed = self._record.running[model]
        library, drift = self._fleet.library, self._faults.drift
        previous = self._record.previous.get(model) if self._record.is_soaking else None
        try:
            outputs = await library.outputs(installed.digest, installed.manifest_digest, drift)
            before = await library.outputs(previous.digest, previous.manifest_digest, drift) if previous else None
        except ModelError as error:
            log.warning("%s: %s %s gives nothing: %s", self._traits.controller_id, model, installed.version, error)
            return None
        expected = self._traits.rate_hz * max(ended_ms - started_ms, 0) / 1000
        count = int(min(max(round(expected), 1), self._fleet.options.max_inputs_per_window))
        return outputs.window(
            self._rng.integers(len(outputs.latency_ms), size=count),
            started_ms=started_ms,
            ended_ms=ended_ms,
            latency_scale=self._traits.latency_scale,
            errors=int(self._faults.fails_in_probation and self._record.is_soaking),
            previous=before,
            shadow_every=self._record.shadow_every,
        )

    def _next_sequence(self) -> int:
        self._sequence += 1
        if self._sequence > self._record.sequences_reserved:
            self._record.sequences_reserved = self._sequence + SEQUENCES_AT_ONCE
            self._save()
        return self._sequence

    async def send(self, url: str) -> None:
        """Send what waits, oldest first, each until acknowledged.

        Raises:
            RefusedError, UnreachableError, OfflineError: the rest waits for the next call.
        """
        while self._queue:
            batch = self._queue[0]
            answer = await self._wire.request("POST", url, content=(codec.MSGPACK, telemetry_encode(batch)))
            receipt = answer.message(TelemetryReceipt)
            if receipt.stream != batch.stream or receipt.sequence < batch.sequence:
                raise UnreachableError("The receipt is for another batch.")
            if self._queue and self._queue[0] is batch:
                self._queue.popleft()
            self.acknowledged += 1

    @property
    def waiting(self) -> int:
        """Batches not yet acknowledged."""
        return len(self._queue)
