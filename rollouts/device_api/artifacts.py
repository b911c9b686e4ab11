"""Files of variants: bytes from a store, or a short-lived link to one. Every GET authenticates."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from email.utils import format_datetime
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse

from common.errors import DomainError, UnavailableError
from fleet.device_api.authentication import authenticate_device
from fleet.hot import touch
from fleet.types import DeviceCaller
from models_registry.errors import ObjectMissingError, StoreConfigurationError, StoreUnavailableError
from models_registry.storage.base import PRESIGN_MAX, RangeReader
from models_registry.storage.registry import store_named
from rollouts import hot
from rollouts.device_api.polltable import table
from rollouts.device_api.ranges import Part, part_of
from rollouts.errors import ArtifactGoneError, ArtifactNotFoundError
from rollouts.services.actions import MANIFEST_FILE, MODEL_FILE

T = TypeVar("T")

_THREADS: Final = 8
_STREAMS_MAX: Final = 64  # downloads at once in this process; more are asked to come again
_KNOWN_MAX: Final = 20_000
_KNOWN_S: Final = 60.0  # how long "this device may have this file" is remembered
_MD5SUM: Final = ".MD5SUM"
_executor = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="artifact")
_known: OrderedDict[tuple[int, UUID, bool], tuple[float, hot.ArtifactRow]] = OrderedDict()
_streams = 0


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_executor, function)


async def artifact(request: Request) -> Response:
    """``GET .../softwaremodules/{module}/artifacts/{file}``: 200, 206, 302, 304, 412 or 416."""
    caller = authenticate_device(request)
    touch(caller.device_id)
    name: str = request.path_params["file"]
    if name.endswith(_MD5SUM):
        return await _md5sum(caller, request, name.removesuffix(_MD5SUM))
    row = await _row(caller, request, name)
    etag = f'"{row.sha1}"'
    modified = format_datetime(row.created_at.astimezone(UTC).replace(microsecond=0), usegmt=True)
    part = part_of(
        row.size_bytes,
        etag,
        modified,
        range_header=request.headers.get("range", ""),
        if_range=request.headers.get("if-range", ""),
        if_match=request.headers.get("if-match", ""),
        if_none_match=request.headers.get("if-none-match", ""),
    )
    headers = {"ETag": etag, "Last-Modified": modified, "Accept-Ranges": "bytes", "Cache-Control": "private"}
    if part.status == 416:  # noqa: PLR2004 - the status itself
        headers["Content-Range"] = f"bytes */{row.size_bytes}"
    if part.status not in {200, 206}:
        return Response(status_code=part.status, headers=headers)
    link = await _link(row)
    if link is not None:
        # The client's own Range header goes along to the store.
        return RedirectResponse(link, status_code=302, headers={"Cache-Control": "no-store"})
    return await _stream(row, part, name, headers)


async def artifacts(request: Request) -> Response:
    """``GET .../softwaremodules/{module}/artifacts``: the files' names, sizes and hashes."""
    caller = authenticate_device(request)
    listed = []
    for name in (MODEL_FILE, MANIFEST_FILE):
        with contextlib.suppress(ArtifactNotFoundError):
            row = await _row(caller, request, name)
            hashes = {"sha1": row.sha1, "sha256": row.sha256, **({"md5": row.md5} if row.md5 else {})}
            listed.append({"filename": name, "size": row.size_bytes, "hashes": hashes})
    if not listed:
        raise ArtifactNotFoundError("This device was not asked to run that.")
    return JSONResponse(listed)


async def _md5sum(caller: DeviceCaller, request: Request, name: str) -> Response:
    row = await _row(caller, request, name)
    if not row.md5:
        raise ArtifactNotFoundError("The MD5 of this file is not known; use sha256.")
    return PlainTextResponse(f"{row.md5}  {name}")


async def _row(caller: DeviceCaller, request: Request, name: str) -> hot.ArtifactRow:
    try:
        module = UUID(request.path_params["module"])
    except ValueError as error:
        raise ArtifactNotFoundError("There is no such module.") from error
    if name not in {MODEL_FILE, MANIFEST_FILE}:
        raise ArtifactNotFoundError("There is no such file.")
    key = (caller.device_id, module, name == MANIFEST_FILE)
    at = time.monotonic()
    known = _known.get(key)
    if known is not None and known[0] > at:
        return known[1]
    row = await hot.artifact_row(
        organization_id=caller.organization_id, device_id=caller.device_id, module=module, is_manifest=key[2]
    )
    if row is None:
        _known.pop(key, None)
        raise ArtifactNotFoundError("This device was not asked to run that.")
    _known[key] = (at + _KNOWN_S, row)
    if len(_known) > _KNOWN_MAX:
        _known.popitem(last=False)
    return row


async def _link(row: hot.ArtifactRow) -> str | None:
    """A presigned link, from the first store that gives links; None: serve the bytes here."""
    for store, key in row.replicas:
        try:
            link = await _in_thread(partial(_presign, store, key))
        except (StoreUnavailableError, StoreConfigurationError):
            continue
        if link is not None:
            return link
    return None


def _presign(store: str, key: str) -> str | None:
    return store_named(store).presign(key, expires=PRESIGN_MAX)


def _reader(store: str, key: str, part: Part) -> RangeReader:
    return store_named(store).open_range(key, part.start, part.length)


async def _stream(row: hot.ArtifactRow, part: Part, name: str, headers: dict[str, str]) -> Response:
    global _streams  # noqa: PLW0603 - counts this process's downloads
    if _streams >= _STREAMS_MAX:
        raise UnavailableError("Too many downloads at once. Try again shortly.", code="rollouts.downloads_busy")
    headers = {
        **headers,
        "Content-Length": str(part.length),
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    if part.status == 206:  # noqa: PLR2004 - the status itself
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{row.size_bytes}"
    _streams += 1
    try:
        reader = await _open(row, part)
    except BaseException:
        _streams -= 1
        raise
    return StreamingResponse(
        _chunks(reader), status_code=part.status, headers=headers, media_type="application/octet-stream"
    )


async def _open(row: hot.ArtifactRow, part: Part) -> RangeReader:
    """A reader of the first store that has the bytes."""
    failure: DomainError | None = None
    for store, key in row.replicas:
        try:
            reader = await _in_thread(partial(_reader, store, key, part))
        except ObjectMissingError as error:
            failure = failure or ArtifactGoneError("The bytes of this file were removed.", context=error.context)
        except StoreUnavailableError as error:
            failure = error
        except StoreConfigurationError as error:
            failure = failure or StoreUnavailableError(str(error))
        else:
            table.storage_works()
            return reader
    if isinstance(failure, StoreUnavailableError):
        table.storage_failed()
    raise failure or ArtifactGoneError("No store holds this file.")


async def _chunks(reader: RangeReader) -> AsyncIterator[bytes]:
    global _streams  # noqa: PLW0603 - counts this process's downloads
    try:
        while chunk := await _in_thread(lambda: next(reader, b"")):
            yield chunk
    finally:
        _streams -= 1
        # The thread may be inside a read when the client goes; closing waits its turn there.
        _executor.submit(reader.close)
