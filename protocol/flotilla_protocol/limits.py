"""Bounds of the device protocol, and the constrained types that carry them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

MAX_HEALTH_ROWS = 500  # per batch
MAX_WINDOWS = 50  # per batch
MAX_SKETCHES = 64  # per window
MAX_BINS = 1024  # per sketch; classes have one bin each
MAX_RUNNING = 64  # models in one report
MAX_TELEMETRY_BYTES = 4_000_000  # one batch on the wire
MAX_MESSAGE_BYTES = 256_000  # any other message to the control plane
MAX_ASSERTION_S = 60  # lifetime of an assertion, seconds
MAX_CLOCK_SKEW_S = 30  # a device clock may be ahead by so much, seconds
PROFILE_BINS = 60  # ten groups of six bins are the exact deciles

_FLOAT4_MAX = 3.0e38  # stored as PostgreSQL real; above it the server could not keep the value
_COUNT_MAX = 2**53  # exact in every JSON reader
_YEAR_2200_MS = 7_258_118_400_000

Finite = Annotated[float, Meta(ge=-_FLOAT4_MAX, le=_FLOAT4_MAX)]
NonNegative = Annotated[float, Meta(ge=0, le=_FLOAT4_MAX)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=_COUNT_MAX)]
SmallCount = Annotated[int, Meta(ge=0, le=2**31 - 1)]  # stored as PostgreSQL integer
Milliseconds = Annotated[int, Meta(ge=0, le=_YEAR_2200_MS)]  # since 1970, UTC
Sha256Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
ControllerId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,256}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=64)]  # of a model or a version
Text = Annotated[str, Meta(max_length=256)]
Pem = Annotated[str, Meta(max_length=16_384)]
