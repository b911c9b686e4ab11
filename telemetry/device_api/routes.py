"""Ingest: ``POST /{tenant}/agent/v1/{cid}/telemetry``.

A raw ASGI application: what devices send most is spared the cost of routing and request objects.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.routing import Route

from common.errors import TooLargeError
from fleet.device_api.authentication import authenticate
from fleet.device_api.routes import body_receive
from fleet.hot import touch
from flotilla_protocol import codec
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.limits import MAX_TELEMETRY_BYTES
from flotilla_protocol.messages import TelemetryReceipt, telemetry_decode
from telemetry.errors import BatchTooLargeError, InvalidBatchError, UnsupportedMediaTypeError
from telemetry.services.ingest import ingest_writer

_PATH: Final = re.compile(r"/([^/]+)/agent/v1/([^/]+)/telemetry")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]


class TelemetryDoor:
    """``TelemetryBatch`` -> ``TelemetryReceipt`` (JSON), answered after the commit; errors are raised."""

    @staticmethod
    def takes(scope: Scope) -> bool:
        """Whether the request is one for this door."""
        return scope["method"] == "POST" and _PATH.fullmatch(scope["path"]) is not None

    async def __call__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Take one batch."""
        path = _PATH.fullmatch(scope["path"])
        assert path is not None
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # the first of equal names
        caller = authenticate(headers.get(b"authorization", b""), tenant=path[1], controller_id=path[2])
        touch(caller.device_id)
        try:
            wire = codec.format_of(headers.get(b"content-type", b"").decode("latin-1"))
        except InvalidMessageError as error:
            raise UnsupportedMediaTypeError(str(error)) from error
        try:
            body = await body_receive(receive, headers.get(b"content-length", b"0"), limit=MAX_TELEMETRY_BYTES)
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
        content = codec.encode(TelemetryReceipt(stream=batch.stream, sequence=batch.sequence))
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", codec.JSON.encode()),
                    (b"content-length", str(len(content)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": content})


telemetry_door = TelemetryDoor()
device_routes = [Route("/{tenant}/agent/v1/{cid}/telemetry", telemetry_door, methods=["POST"])]
