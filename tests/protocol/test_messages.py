"""What the wire may say: every bound refuses with the field and the index, and nothing hostile gets
through.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla_protocol import codec, manifest, messages, profile, sketch
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.limits import MAX_HEALTH_ROWS, MAX_WINDOWS
from flotilla_protocol.messages import (
    HEALTH_COLUMNS,
    EnrolRequest,
    Hardware,
    TelemetryBatch,
    telemetry_decode,
    telemetry_encode,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "protocol" / "device.md"


def batch(**changes: Any) -> dict[str, Any]:
    return {"stream": 2, "sequence": 1, "health": {"ts_ms": [1, 2], "cpu_ratio": [0.1, None]}, **changes}


def window(**changes: Any) -> dict[str, Any]:
    return {
        "ts_ms": 5,
        "window_s": 1.0,
        "model": "digits",
        "version": "1.0",
        "digest": "a" * 64,
        "inference_count": 3,
        **changes,
    }


def packed(content: Any) -> bytes:
    return msgspec.msgpack.encode(content)


@pytest.mark.parametrize("wire", ["json", "msgpack"])
def test_a_batch_comes_back_as_it_was_sent(wire: codec.Format) -> None:
    sent = TelemetryBatch(
        stream=1,
        sequence=7,
        health=messages.Health(ts_ms=[1, 2], cpu_ratio=[0.5, None], temperature_c=[-4.5, 61]),
        windows=[msgspec.convert(window(), messages.InferenceReport)],
    )
    assert telemetry_decode(telemetry_encode(sent, wire), wire) == sent


def test_columns_that_were_not_measured_cost_nothing_on_the_wire() -> None:
    assert b"power_w" not in telemetry_encode(TelemetryBatch(2, 1, messages.Health(ts_ms=[1], cpu_ratio=[0.5])))


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (batch(stream=4), "stream"),
        (batch(stream=-1), "stream"),
        (batch(sequence=0), "sequence"),
        (batch(sequence="1"), "sequence"),
        (batch(health={"ts_ms": []}), "health.ts_ms"),
        (batch(health={"ts_ms": [1], "cpu_ratio": [1.5]}), "health.cpu_ratio[0]"),
        (batch(health={"ts_ms": [1, 2], "cpu_ratio": [0.5, math.nan]}), "health.cpu_ratio[1]"),
        (batch(health={"ts_ms": [1], "temperature_c": [math.inf]}), "health.temperature_c[0]"),
        (batch(health={"ts_ms": [1], "power_w": [-1.0]}), "health.power_w[0]"),
        (batch(health={"ts_ms": [1], "uptime_s": [1e39]}), "health.uptime_s[0]"),
        (batch(health={"ts_ms": [-1]}), "health.ts_ms[0]"),
        (batch(health={"ts_ms": [1, 2], "load_1m": [0.5]}), "health.load_1m"),
        (batch(health={"ts_ms": [1] * (MAX_HEALTH_ROWS + 1)}), "health.ts_ms"),
        (batch(windows=[window()] * (MAX_WINDOWS + 1)), "windows"),
        (batch(windows=[window(), window(inference_count=-1)]), "windows[1].inference_count"),
        (batch(windows=[window(latency_ms_p95=math.nan)]), "windows[0].latency_ms_p95"),
        (batch(windows=[window(confidence_mean=1.01)]), "windows[0].confidence_mean"),
        (batch(windows=[window(digest="A" * 64)]), "windows[0].digest"),
        (batch(windows=[window(digest="a" * 63)]), "windows[0].digest"),
        (batch(windows=[window(version="")]), "windows[0].version"),
        (
            batch(windows=[window(shadow_count=1, shadow_disagreement_count=2)]),
            "windows[0].shadow_disagreement_count",
        ),
        (
            batch(windows=[window(sketches=[{"feature": "f", "counts": [1, 2], "sums": [1.0]}])]),
            "windows[0].sketches[0].sums",
        ),
        (
            batch(windows=[window(sketches=[{"feature": "f", "counts": [1, -2], "sums": [1.0, 2.0]}])]),
            "windows[0].sketches[0].counts[1]",
        ),
        (
            batch(windows=[window(sketches=[{"feature": "f", "counts": [1], "sums": [-math.inf]}])]),
            "windows[0].sketches[0].sums[0]",
        ),
        (batch(health=[1, 2]), "health"),
    ],
)
def test_a_broken_bound_is_refused_naming_field_and_index(content: Any, field: str) -> None:
    with pytest.raises(InvalidMessageError) as refused:
        telemetry_decode(packed(content))
    assert refused.value.field == field
    assert refused.value.text


def test_the_bounds_themselves_are_allowed() -> None:
    rows = MAX_HEALTH_ROWS
    full = batch(
        health={"ts_ms": list(range(rows)), **{name: [0.0] * rows for name in HEALTH_COLUMNS}},
        windows=[window()] * MAX_WINDOWS,
    )
    decoded = telemetry_decode(packed(full))
    assert decoded.health is not None
    assert len(decoded.health.ts_ms) == rows


def test_unknown_fields_of_a_newer_sender_are_ignored() -> None:
    assert telemetry_decode(packed(batch(colour="blue"))).sequence == 1


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_and_never_crash(body: bytes) -> None:
    for wire in ("json", "msgpack"):
        with suppress(InvalidMessageError):
            telemetry_decode(body, wire)  # type: ignore[arg-type]


@given(st.integers(min_value=0, max_value=200), st.integers(min_value=0, max_value=255))
def test_a_flipped_byte_is_refused_or_read_within_the_bounds(place: int, value: int) -> None:
    body = bytearray(packed(batch(windows=[window()])))
    body[place % len(body)] = value
    try:
        decoded = telemetry_decode(bytes(body))
    except InvalidMessageError:
        return
    assert 0 <= decoded.stream <= 3
    assert decoded.sequence >= 1


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InvalidMessageError):
        codec.decode(b"[" * 100_000, TelemetryBatch)


@pytest.mark.parametrize(
    ("header", "wire"),
    [("application/json; charset=utf-8", "json"), ("application/msgpack", "msgpack"), ("APPLICATION/JSON", "json")],
)
def test_the_content_type_names_the_format(header: str, wire: str) -> None:
    assert codec.format_of(header) == wire


def test_another_content_type_is_refused() -> None:
    with pytest.raises(InvalidMessageError):
        codec.format_of("text/html")


@pytest.mark.parametrize("controller_id", ["", "a/b", "a b", "ü", "a" * 257, "a\n", "../x/.."])
def test_ids_that_could_be_mistaken_for_a_path_are_refused(controller_id: str) -> None:
    content = {
        "token": "t",
        "controller_id": controller_id,
        "name": "",
        "csr_pem": "",
        "agent_version": "",
        "hardware": {"profile": "p"},
    }
    with pytest.raises(InvalidMessageError) as refused:
        codec.decode(codec.encode(content), EnrolRequest)
    assert refused.value.field == "controller_id"


def test_a_time_without_a_zone_is_refused() -> None:
    report = {
        "controller_id": "c",
        "action_number": 0,
        "running": [],
        "self_test": "passed",
        "soak": {"clean": None, "seconds": 0, "errors": 0},
        "agent_version": "1",
        "sent_at": "2026-01-01T00:00:00",
        "nonce": "12345678",
    }
    with pytest.raises(InvalidMessageError) as refused:
        codec.decode(codec.encode(report), messages.VersionReport)
    assert refused.value.field == "sent_at"


def test_defaults_are_not_shared_between_messages() -> None:
    first, second = Hardware("p"), Hardware("p")
    first.runtimes.append("x")
    assert second.runtimes == []


# --- The document and the structs -------------------------------------------------------------------------
STRUCTS = [
    *(getattr(messages, name) for name in ("EnrolRequest", "Hardware", "EnrolResponse", "AgentConfiguration")),
    *(getattr(messages, name) for name in ("VersionReport", "TelemetryBatch", "InferenceReport", "TelemetryReceipt")),
    messages.SignedReport,
    sketch.HistogramSketch,
    profile.FeatureProfile,
    profile.ReferenceProfile,
    manifest.Manifest,
    manifest.TensorSpec,
    manifest.Tensor,
    manifest.SelfTest,
    manifest.Scores,
]


def _documented(text: str, name: str) -> list[str]:
    """Field names of ``Name {a, b[], c {d, e}}`` at the outer level."""
    start = re.search(rf"`?\b{name}`? \{{", text)
    assert start, f"{name} is not in the document"
    depth, body = 1, ""
    for character in text[start.end() :]:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            break
        if depth == 1:
            body += character
    body = re.sub(r"[}`]|\(.*?\)|\[.*?\]", "", body)
    return [part.split()[0] for part in body.split(",")]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_the_document_names_the_fields_of_the_struct(struct: type[msgspec.Struct]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert _documented(text, struct.__name__) == list(struct.__struct_fields__)


def test_the_document_names_the_health_columns() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(r"`health` is columnar: `\{(.*?)\}`", text, re.DOTALL)
    assert found
    assert re.findall(r"(\w+)\[\]", found[1]) == list(messages.Health.__struct_fields__)
