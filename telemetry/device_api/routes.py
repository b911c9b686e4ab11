"""Ingest: ``POST /{tenant}/agent/v1/{cid}/telemetry``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from common.errors import TooLargeError
from fleet.device_api.authentication import authenticate_device
from fleet.device_api.routes import body_read
from fleet.hot import touch
from flotilla_protocol import codec
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.limits import MAX_TELEMETRY_BYTES
from flotilla_protocol.messages import TelemetryReceipt, telemetry_decode
from telemetry.errors import BatchTooLargeError, InvalidBatchError, UnsupportedMediaTypeError
from telemetry.services.ingest import ingest_writer


async def telemetry(request: Request) -> Response:
    """``TelemetryBatch`` -> ``TelemetryReceipt`` (JSON), answered after the commit."""
    caller = authenticate_device(request)
    touch(caller.device_id)
    try:
        wire = codec.format_of(request.headers.get("content-type", ""))
    except InvalidMessageError as error:
        raise UnsupportedMediaTypeError(str(error)) from error
    try:
        body = await body_read(request, limit=MAX_TELEMETRY_BYTES)
    except TooLargeError as error:
        raise BatchTooLargeError(
            f"A batch has at most {MAX_TELEMETRY_BYTES} bytes; send its rows in several batches."
        ) from error
    try:
        batch = telemetry_decode(body, wire)
    except InvalidMessageError as error:
        fields = {error.field: error.text} if error.field else {}
        raise InvalidBatchError(str(error), fields=fields) from error
    await ingest_writer().submit(
        device_id=caller.device_id, organization_id=caller.organization_id, batch=batch, size_bytes=len(body)
    )
    receipt = TelemetryReceipt(stream=batch.stream, sequence=batch.sequence)
    return Response(codec.encode(receipt), media_type=codec.JSON)


device_routes = [Route("/{tenant}/agent/v1/{cid}/telemetry", telemetry, methods=["POST"])]
