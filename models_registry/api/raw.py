"""The upload door: tus 1.0 (creation, expiration, checksum, termination) on raw ASGI.

Raw, because Django's ASGI handler spools a whole body before a view sees it. Here a body of any size passes through one
bounded buffer. ``https://tus.io/protocols/resumable-upload``; every step names its section there.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from common.bridge import bridge
from common.errors import DomainError, InvalidInputError
from governance.authentication import caller_from_scope
from governance.types import Caller
from models_registry.errors import UploadTooLargeError
from models_registry.models import Upload
from models_registry.selectors import upload_for
from models_registry.services.uploads import (
    UploadWriter,
    upload_create,
    upload_delete,
    upload_offset,
)

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,checksum,termination"
_BUFFER_BYTES = 1 << 20
_IDLE_S = 30.0  # a body that pauses longer is cut off; the client resumes
_OFFSET_MEDIA_TYPE = "application/offset+octet-stream"
_METADATA_MAX = 4096
_RETRY_LATER = {423: b"2", 429: b"60"}


class ProtocolVersionError(DomainError):
    """The client speaks another tus version (2.2, Tus-Resumable): 412."""

    code = "models_registry.upload_protocol"
    status = 412


class UnsupportedBodyError(DomainError):
    """A PATCH body must be ``application/offset+octet-stream`` (2.3, PATCH): 415."""

    code = "models_registry.upload_media_type"
    status = 415


class BodyTimeoutError(DomainError):
    """The body paused for too long. What came is kept; resume with HEAD. 408."""

    code = "models_registry.upload_timeout"
    status = 408
    retryable = True


Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class TusHeaders:
    """Puts the protocol's headers on every answer, errors included (2.2)."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (b"tus-resumable", VERSION.encode()),
                    (b"tus-version", VERSION.encode()),
                    (b"tus-extension", EXTENSIONS.encode()),
                    (b"tus-max-size", str(settings.UPLOAD_MAX_BYTES).encode()),
                    (b"tus-checksum-algorithm", b"sha256"),
                    (b"x-content-type-options", b"nosniff"),
                ]
                sent = {name.lower() for name, _ in message.get("headers", [])}
                if message["status"] in _RETRY_LATER and b"retry-after" not in sent:
                    headers.append((b"retry-after", _RETRY_LATER[message["status"]]))
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        await self._app(scope, receive, with_headers)


def _check_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise ProtocolVersionError(f"This door speaks tus {VERSION}; send the header Tus-Resumable: {VERSION}.")


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 - fits a bigint
        raise InvalidInputError(f"{header} is not a whole number.", fields={header: "a whole number, 0 or more"})
    return int(text)


def _metadata(request: Request) -> dict[str, str]:
    """``Upload-Metadata``: comma separated pairs of key and base64 value (creation extension)."""
    header = request.headers.get("upload-metadata", "")
    problem = InvalidInputError(
        "Upload-Metadata cannot be read.", fields={"Upload-Metadata": "pairs of a key and a base64 value, UTF-8"}
    )
    if len(header) > _METADATA_MAX:
        raise problem
    values: dict[str, str] = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        if not key:
            continue
        try:
            values[key] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise problem from error
    return values


def _checksum(request: Request) -> bytes:
    """``Upload-Checksum``: an algorithm and the base64 digest of this body (checksum extension)."""
    header = request.headers.get("upload-checksum")
    if header is None:
        return b""
    algorithm, _, value = header.partition(" ")
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        digest = b""
    if algorithm != "sha256" or len(digest) != 32:  # noqa: PLR2004 - bytes of SHA-256
        raise InvalidInputError(
            "Upload-Checksum cannot be read; the algorithm is sha256.",
            fields={"Upload-Checksum": "sha256, a space, 32 bytes in base64"},
        )
    return digest


def _upload_id(request: Request) -> UUID:
    return UUID(str(request.path_params["upload_id"]))


def _http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


async def _caller(request: Request) -> Caller:
    return await bridge.run(caller_from_scope, request.scope)


async def options(_request: Request) -> Response:
    """What this door can do (2.3, OPTIONS). Says nothing that needs a right."""
    return Response(status_code=204)


async def create(request: Request) -> Response:
    """``POST /api/v1/uploads/``: begin an upload (creation extension)."""
    caller = await _caller(request)
    _check_version(request)
    if request.headers.get("upload-defer-length") is not None:
        raise InvalidInputError(
            "The length must be known at the beginning.", fields={"Upload-Defer-Length": "not supported"}
        )
    length_bytes = _number(request, "Upload-Length")
    metadata = _metadata(request)
    upload = await bridge.run(
        upload_create,
        caller=caller,
        filename=metadata.get("filename", "upload"),
        length_bytes=length_bytes,
        sha256=metadata.get("sha256", "").lower(),
    )
    location = f"{settings.PUBLIC_URL}/api/v1/uploads/{upload.public_id}"
    return Response(status_code=201, headers={"Location": location, "Upload-Expires": _http_date(upload.expires_at)})


def _state(caller: Caller, upload_id: UUID) -> tuple[Upload, int]:
    upload = upload_for(caller=caller, upload_id=upload_id)
    return upload, upload_offset(upload)


async def head(request: Request) -> Response:
    """``HEAD``: how far the upload is (2.3, HEAD)."""
    caller = await _caller(request)
    _check_version(request)
    upload, offset = await bridge.run(_state, caller, _upload_id(request))
    return Response(
        headers={
            "Upload-Offset": str(offset),
            "Upload-Length": str(upload.length_bytes),
            "Upload-Expires": _http_date(upload.expires_at),
            "Cache-Control": "no-store",
        }
    )


async def patch(request: Request) -> Response:
    """``PATCH``: the next bytes (2.3, PATCH). Answers once they are on disk."""
    caller = await _caller(request)
    _check_version(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != _OFFSET_MEDIA_TYPE:
        raise UnsupportedBodyError(f"The body must have the media type {_OFFSET_MEDIA_TYPE}.")
    offset = _number(request, "Upload-Offset")
    checksum = _checksum(request)
    announced = request.headers.get("content-length", "")
    writer = await bridge.run(
        UploadWriter, caller=caller, upload_id=_upload_id(request), offset_bytes=offset, checksum=checksum
    )
    try:
        if announced.isdigit() and offset + int(announced) > writer.upload.length_bytes:
            raise UploadTooLargeError(f"The body goes beyond the announced {writer.upload.length_bytes} bytes.")
        try:
            await _receive_into(writer, request)
        except (ClientDisconnect, DomainError):
            await bridge.run(writer.keep)
            raise
        await bridge.run(writer.finish)
    except ClientDisconnect:
        return Response(status_code=499)  # nobody reads it
    finally:
        await bridge.run(writer.close)
    return Response(
        status_code=204,
        headers={
            "Upload-Offset": str(writer.upload.offset_bytes),
            "Upload-Expires": _http_date(writer.upload.expires_at),
        },
    )


async def _receive_into(writer: UploadWriter, request: Request) -> None:
    buffer = bytearray()
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_IDLE_S):
                block = await anext(stream, None)
        except TimeoutError as error:
            if buffer:
                await bridge.run(writer.write, bytes(buffer))
            raise BodyTimeoutError(f"Nothing came for {_IDLE_S:.0f} s. What came before is kept; resume.") from error
        except ClientDisconnect:
            if buffer:
                await bridge.run(writer.write, bytes(buffer))
            raise
        if block is None:
            break
        buffer += block
        if len(buffer) >= _BUFFER_BYTES:
            await bridge.run(writer.write, bytes(buffer))
            buffer.clear()
    if buffer:
        await bridge.run(writer.write, bytes(buffer))


async def delete(request: Request) -> Response:
    """``DELETE``: forget the upload (termination extension)."""
    caller = await _caller(request)
    _check_version(request)
    await bridge.run(upload_delete, caller=caller, upload_id=_upload_id(request))
    return Response(status_code=204)


def _routes() -> list[Route]:
    middleware = [Middleware(TusHeaders)]
    one = "/api/v1/uploads/{upload_id:uuid}"
    routes = []
    # With and without the slash at the end: clients take the address from Location, people type it.
    for slash in ("", "/"):
        collection = f"/api/v1/uploads{slash}"
        routes += [
            Route(collection, options, methods=["OPTIONS"], middleware=middleware),
            Route(collection, create, methods=["POST"], middleware=middleware),
            Route(one + slash, options, methods=["OPTIONS"], middleware=middleware),
            Route(one + slash, head, methods=["HEAD"], middleware=middleware),
            Route(one + slash, patch, methods=["PATCH"], middleware=middleware),
            Route(one + slash, delete, methods=["DELETE"], middleware=middleware),
        ]
    return routes


raw_routes = _routes()
