"""The messages of the device protocol, as in ``docs/protocol/device.md`` (a test compares the fields).

Bounds are part of the types (``limits.py``) and are checked while decoding; what one field alone cannot say
(columns of equal length) is checked by ``telemetry_decode``. Unknown fields are ignored, so that a newer end
may say more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from flotilla_protocol import codec
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.limits import (
    MAX_HEALTH_ROWS,
    MAX_RUNNING,
    MAX_SKETCHES,
    MAX_WINDOWS,
    ControllerId,
    Count,
    Finite,
    Milliseconds,
    Name,
    NonNegative,
    Pem,
    Ratio,
    Sha256Hex,
    SmallCount,
    Text,
)
from flotilla_protocol.sketch import HistogramSketch

Moment = Annotated[datetime, Meta(tz=True)]

# Streams, in the order they are sent.
STREAM_URGENT, STREAM_WINDOWS, STREAM_HEALTH, STREAM_BACKLOG = 0, 1, 2, 3
STREAMS = (STREAM_URGENT, STREAM_WINDOWS, STREAM_HEALTH, STREAM_BACKLOG)


# --- Joining --------------------------------------------------------------------------------------
class Hardware(msgspec.Struct, frozen=True):
    """What a device is made of. ``profile`` names a hardware profile; the rest was found by the agent."""

    profile: Annotated[str, Meta(min_length=1, max_length=128)]
    architecture: Text = ""  # x86_64, aarch64, ...
    cpu: Text = ""
    cpu_count: Annotated[int, Meta(ge=0, le=65_536)] = 0
    memory_bytes: Count = 0
    accelerators: Annotated[list[Text], Meta(max_length=32)] = []
    runtimes: Annotated[list[Text], Meta(max_length=32)] = []  # for example "onnxruntime 1.31.1"


class EnrolRequest(msgspec.Struct, frozen=True):
    """A device asks to be let in."""

    token: Annotated[str, Meta(min_length=1, max_length=256)]
    controller_id: ControllerId
    name: Text
    csr_pem: Pem
    agent_version: Annotated[str, Meta(max_length=64)]
    hardware: Hardware
    attributes: Annotated[dict[Annotated[str, Meta(max_length=128)], Text], Meta(max_length=100)] = {}


class EnrolResponse(msgspec.Struct, frozen=True):
    """It is in. ``root_metadata`` is the first TUF ``root.json`` (text)."""

    device_id: str
    controller_id: str
    tenant: str
    certificate_pem: str
    authority_pem: str
    root_metadata: str
    poll_interval_s: NonNegative


class TokenRequest(msgspec.Struct, frozen=True):
    """An assertion for an access token."""

    assertion: Annotated[str, Meta(min_length=1, max_length=4096)]


class TokenResponse(msgspec.Struct, frozen=True):
    """An access token and how long it lives."""

    access_token: str
    expires_in_s: NonNegative


# --- Configuration --------------------------------------------------------------------------------
class AgentLinks(msgspec.Struct, frozen=True):
    """Absolute addresses. ``metadata`` ends in a slash: file names are put behind it."""

    metadata: str
    reports: str
    telemetry: str


class AgentConfiguration(msgspec.Struct, frozen=True):
    """How our agent should behave; the polling interval is in the DDI root as for every client."""

    server_time_ms: Milliseconds  # when this was answered: the device measures its clock by it
    links: AgentLinks
    poll_interval_s: Annotated[float, Meta(ge=0.01, le=86_400)]
    health_interval_s: Annotated[float, Meta(ge=0.01, le=86_400)]  # between two health samples
    window_interval_s: Annotated[float, Meta(ge=0.01, le=86_400)]  # length of an inference window
    report_interval_s: Annotated[float, Meta(ge=1, le=86_400)]  # between two version reports when nothing happens


# --- Reporting what runs --------------------------------------------------------------------------
class RunningModel(msgspec.Struct, frozen=True):
    """A model the device runs, since when, and in which of its two slots."""

    model: Name
    version: Name
    digest: Sha256Hex
    since: Moment
    slot: Literal["a", "b"]


class Soak(msgspec.Struct, frozen=True):
    """How probation went. ``clean`` is null while it lasts, and when there was none."""

    clean: bool | None
    seconds: NonNegative
    errors: Count


class VersionReport(msgspec.Struct, frozen=True):
    """What runs on the device, signed by it. ``action_number`` is the last action it acted on, 0 for none."""

    controller_id: ControllerId
    action_number: SmallCount
    running: Annotated[list[RunningModel], Meta(max_length=MAX_RUNNING)]
    self_test: Literal["passed", "failed", "not_run"]
    soak: Soak
    agent_version: Annotated[str, Meta(max_length=64)]
    sent_at: Moment
    nonce: Annotated[str, Meta(min_length=8, max_length=128)]


class SignedReport(msgspec.Struct, frozen=True):
    """The body of ``POST reports``."""

    report: Annotated[str, Meta(min_length=1, max_length=65_536)]


# --- Telemetry ------------------------------------------------------------------------------------
_FiniteColumn = Annotated[list[Finite | None], Meta(max_length=MAX_HEALTH_ROWS)] | None
_RatioColumn = Annotated[list[Ratio | None], Meta(max_length=MAX_HEALTH_ROWS)] | None
_AmountColumn = Annotated[list[NonNegative | None], Meta(max_length=MAX_HEALTH_ROWS)] | None


class Health(msgspec.Struct, omit_defaults=True, gc=False):
    """Health samples by column. A column that is absent was not measured; a gap is null."""

    ts_ms: Annotated[list[Milliseconds], Meta(min_length=1, max_length=MAX_HEALTH_ROWS)]
    cpu_ratio: _RatioColumn = None  # of all cores
    memory_used_ratio: _RatioColumn = None
    storage_used_ratio: _RatioColumn = None
    temperature_c: _FiniteColumn = None
    gpu_ratio: _RatioColumn = None
    network_rx_bytes_s: _AmountColumn = None
    network_tx_bytes_s: _AmountColumn = None
    power_w: _AmountColumn = None
    uptime_s: _AmountColumn = None
    load_1m: _AmountColumn = None
    process_memory_bytes: _AmountColumn = None
    clock_offset_s: _FiniteColumn = None  # device less server


HEALTH_COLUMNS: tuple[str, ...] = Health.__struct_fields__[1:]


class InferenceReport(msgspec.Struct, omit_defaults=True, gc=False):
    """What one version of one model did in one window, which ends at ``ts_ms``."""

    ts_ms: Milliseconds
    window_s: NonNegative
    model: Name
    version: Name
    digest: Sha256Hex
    inference_count: SmallCount
    error_count: SmallCount = 0
    latency_ms_mean: NonNegative | None = None
    latency_ms_p50: NonNegative | None = None
    latency_ms_p95: NonNegative | None = None
    confidence_mean: Ratio | None = None
    shadow_count: SmallCount = 0  # inputs run through the previous version too
    shadow_disagreement_count: SmallCount = 0
    shadow_latency_ms_mean: NonNegative | None = None  # the previous version's, on the same inputs
    sketches: Annotated[list[HistogramSketch], Meta(max_length=MAX_SKETCHES)] = []


class TelemetryBatch(msgspec.Struct, omit_defaults=True, gc=False):
    """One batch of one stream. ``sequence`` rises from 1; a device that had to drop skips numbers."""

    stream: Annotated[int, Meta(ge=0, le=3)]
    sequence: Annotated[int, Meta(ge=1, le=2**62)]
    health: Health | None = None
    windows: Annotated[list[InferenceReport], Meta(max_length=MAX_WINDOWS)] = []


class TelemetryReceipt(msgspec.Struct, frozen=True):
    """Committed: everything up to and including ``sequence`` of ``stream``."""

    stream: int
    sequence: int


def telemetry_decode(body: bytes, wire: codec.Format = "msgpack") -> TelemetryBatch:
    """Read and check one batch.

    Raises:
        InvalidMessageError: naming field and index.
    """
    batch = codec.decode(body, TelemetryBatch, wire)
    health = batch.health
    if health is not None:
        rows = len(health.ts_ms)
        for name in HEALTH_COLUMNS:
            column = getattr(health, name)
            if column is not None and len(column) != rows:
                raise InvalidMessageError(f"{len(column)} values for {rows} times.", field=f"health.{name}")
    for index, window in enumerate(batch.windows):
        if window.shadow_disagreement_count > window.shadow_count:
            raise InvalidMessageError(
                "more disagreements than comparisons.", field=f"windows[{index}].shadow_disagreement_count"
            )
        for at, sketch in enumerate(window.sketches):
            if len(sketch.counts) != len(sketch.sums):
                raise InvalidMessageError("one sum per count is needed.", field=f"windows[{index}].sketches[{at}].sums")
    return batch


def telemetry_encode(batch: TelemetryBatch, wire: codec.Format = "msgpack") -> bytes:
    """The batch as bytes."""
    return codec.encode(batch, wire)
