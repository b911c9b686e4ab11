"""What devices were told is stored, beside what is stored: nothing may be missing, and nothing may be there twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import httpx
import msgspec

from config.embedded.postgres import Cluster
from flotilla_agent.files import read_or_none
from flotilla_agent.outbox import Counters
from flotilla_agent.state_folder import StateFolder
from flotilla_protocol.messages import STREAMS, TelemetryBatch

# Table, the device's own id, the row's time in milliseconds, and the model; health has none.
Row = tuple[str, str, int, str]

_STORED = """
SELECT 'health', d.controller_id, round(extract(epoch FROM s.ts) * 1000)::bigint, ''
FROM telemetry_healthsample s LEFT JOIN fleet_device d ON d.id = s.device_id
UNION ALL
SELECT 'window', d.controller_id, round(extract(epoch FROM s.ts) * 1000)::bigint, s.model_name
FROM telemetry_inferencewindow s LEFT JOIN fleet_device d ON d.id = s.device_id
"""
_SEQUENCES = """
SELECT sequence_0, sequence_1, sequence_2, sequence_3
FROM telemetry_devicelatest l JOIN fleet_device d ON d.id = l.device_id WHERE d.controller_id = %s
"""


@dataclass
class Ledger:
    """Listens to the simulated devices' client.

    Attributes:
        sent: rows of batches that were answered or may have arrived.
        acknowledged: rows of batches that were acknowledged.
    """

    sent: set[Row] = field(default_factory=set)
    acknowledged: set[Row] = field(default_factory=set)

    def client(self) -> httpx.AsyncClient:
        """A client for a fleet; whatever telemetry passes through it is written down here."""
        hooks = {"request": [self._leaves], "response": [self._is_answered]}
        return httpx.AsyncClient(timeout=10.0, trust_env=False, event_hooks=hooks)

    async def _leaves(self, request: httpx.Request) -> None:
        self.sent |= _rows(request)

    async def _is_answered(self, response: httpx.Response) -> None:
        if response.status_code == httpx.codes.OK:
            self.acknowledged |= _rows(response.request)

    def lost(self, stored: Counter[Row]) -> set[Row]:
        """Acknowledged rows that are not stored."""
        return {row for row in self.acknowledged if stored[row] == 0}

    def unknown(self, stored: Counter[Row]) -> set[Row]:
        """Stored rows of the simulated devices that none of them ever sent."""
        ours = {row[1] for row in self.sent}
        return {row for row in stored if row[1] in ours and row not in self.sent}


def _rows(request: httpx.Request) -> set[Row]:
    tenant_to_end = request.url.path.split("/")
    if request.method != "POST" or tenant_to_end[-1] != "telemetry":
        return set()
    device = tenant_to_end[-2]
    batch = msgspec.msgpack.decode(request.content, type=TelemetryBatch)
    health = {("health", device, ts_ms, "") for ts_ms in (batch.health.ts_ms if batch.health else ())}
    return health | {("window", device, window.ts_ms, window.model) for window in batch.windows}


def stored_rows(cluster: Cluster) -> Counter[Row]:
    """Every row of telemetry, and how often it is stored."""
    with cluster.connection("flotilla") as connection:
        return Counter(
            (str(t), str(device), int(str(ms)), str(model)) for t, device, ms, model in connection.execute(_STORED)
        )


def agent_disagreements(cluster: Cluster, controller_id: str, folder: StateFolder) -> list[str]:
    """Where a stopped agent's outbox and the database differ about what was taken; empty when they agree.

    The agent's process has its rows to itself, but its outbox numbers them: what it no longer keeps, it was told to be
    stored.
    """
    counters = msgspec.json.decode(read_or_none(folder.outbox / "counters.json") or b"{}", type=Counters)
    with cluster.connection("flotilla") as connection:
        taken = connection.execute(_SEQUENCES, (controller_id,)).fetchone()
    assert taken is not None
    problems = [f"{counters.dropped} batches were dropped"] if counters.dropped else []
    for stream in STREAMS:
        waiting = [int(path.name.partition("-")[0]) for path in (folder.outbox / str(stream)).glob("*.mp")]
        given = max([counters.last.get(stream, 0), *waiting])
        told = min(waiting) - 1 if waiting else given
        if not told <= int(str(taken[stream])) <= given:
            problems.append(f"stream {stream}: acknowledged {told}, taken {taken[stream]}, given {given}")
    return problems
