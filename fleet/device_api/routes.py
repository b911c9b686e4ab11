"""Joining and proving who one is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

from django.conf import settings
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from common.bridge import bridge
from common.errors import InvalidInputError, TooLargeError
from fleet.services.access import access_token_issue
from fleet.services.enrolment import device_enrol
from flotilla_protocol import codec
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.limits import MAX_MESSAGE_BYTES
from flotilla_protocol.messages import EnrolRequest, EnrolResponse, TokenRequest, TokenResponse

T = TypeVar("T")


async def body_receive(
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]], announced: bytes, *, limit: int
) -> bytes:
    """A request's body from ASGI, never more than ``limit`` bytes of it.

    Args:
        receive: ASGI's.
        announced: the header ``Content-Length``.
        limit: bytes.

    Raises:
        TooLargeError: it is larger; what it announces is looked at first.
        InvalidInputError: the client went away before the end.
    """
    text = f"The message is larger than {limit} bytes."
    if announced.isdigit() and int(announced) > limit:
        raise TooLargeError(text)
    chunks: list[bytes] = []
    size = 0
    is_more = True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInputError("The message did not arrive in full.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLargeError(text)
        chunks.append(chunk)
        is_more = message.get("more_body", False)
    return b"".join(chunks)


async def body_read(request: Request, *, limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """The request's body, never more than ``limit`` bytes of it; raises as ``body_receive``."""
    announced = request.headers.get("content-length", "0")
    return await body_receive(request.receive, announced.encode("latin-1"), limit=limit)


async def message_read(request: Request, kind: type[T], *, limit: int = MAX_MESSAGE_BYTES) -> T:
    """The request's body as a message.

    Raises:
        TooLargeError: larger than ``limit`` bytes.
        InvalidInputError: not of this kind; ``fields`` names the value.
    """
    try:
        wire = codec.format_of(request.headers.get("content-type", codec.JSON))
        return codec.decode(await body_read(request, limit=limit), kind, wire)
    except InvalidMessageError as error:
        fields = {error.field: error.text} if error.field else {}
        raise InvalidInputError(str(error), fields=fields) from error


def message_response(message: object) -> Response:
    """A message as JSON. Credentials among it must not be kept by caches."""
    return Response(codec.encode(message), media_type=codec.JSON, headers={"Cache-Control": "no-store"})


async def enrol(request: Request) -> Response:
    """``EnrolRequest`` -> ``EnrolResponse``; see ``device_enrol``."""
    message = await message_read(request, EnrolRequest)
    enrolled = await bridge.run(device_enrol, tenant=request.path_params["tenant"], request=message)
    device = enrolled.device
    return message_response(
        EnrolResponse(
            device_id=str(device.public_id),
            controller_id=device.controller_id,
            tenant=enrolled.tenant,
            certificate_pem=device.certificate_pem,
            authority_pem=enrolled.authority_pem,
            root_metadata=enrolled.root_metadata,
            poll_interval_s=settings.DEVICE_POLL_INTERVAL_S,
        )
    )


async def token(request: Request) -> Response:
    """``TokenRequest`` -> ``TokenResponse``; see ``access_token_issue``."""
    message = await message_read(request, TokenRequest)
    access = await bridge.run(access_token_issue, tenant=request.path_params["tenant"], assertion=message.assertion)
    return message_response(TokenResponse(access_token=access.text, expires_in_s=access.expires_in_s))


device_routes = [
    Route("/{tenant}/agent/v1/enrol", enrol, methods=["POST"]),
    Route("/{tenant}/agent/v1/token", token, methods=["POST"]),
]
