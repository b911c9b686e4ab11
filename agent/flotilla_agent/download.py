"""Resumable, bounded downloads: bytes are hashed while they come, and nothing unverified gets its final
name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx

from flotilla_agent.client import ControlPlane, RefusedError, UnreachableError
from flotilla_agent.files import PRIVATE_FILE, folder_sync
from flotilla_agent.reasons import Reason, RetryLaterError, UpdateFailedError
from flotilla_agent.trust import Target

BLOCK_BYTES = 256 * 1024
SPARE_BYTES = 16_000_000  # kept free for everything else on the disk


def download(
    control_plane: ControlPlane, href: str, target: Target, destination: Path, keep_going: Callable[[], None]
) -> None:
    """Fetch the bytes of a signed target into ``destination``; durable and verified on return. Idempotent.

    A file that is already there is verified again and kept when it is right. Bytes of an interrupted download
    are kept in ``<name>.<digest>.part`` and continued with ``Range``.

    Args:
        control_plane: the connection.
        href: where the bytes are.
        target: signed length and digest.
        destination: the final name; its folder exists.
        keep_going: called for each block; raises to stop (a cancel).

    Raises:
        UpdateFailedError: wrong digest, more bytes than signed, no space, or the address does not exist.
        RetryLaterError: the connection broke; what came so far is kept.
    """
    if is_verified(destination, target):
        return
    part = _part_of(destination, target)
    have = part.stat().st_size if part.exists() else 0
    if have > target.size_bytes:
        part.unlink()
        have = 0
    free = shutil.disk_usage(destination.parent).free
    if free < target.size_bytes - have + SPARE_BYTES:
        raise UpdateFailedError(
            Reason.OUT_OF_SPACE,
            f"{target.size_bytes - have} bytes are to come; {free} are free and {SPARE_BYTES} are kept so.",
        )
    if have < target.size_bytes:
        _receive(control_plane, href, target, part, keep_going)
    if not is_verified(part, target):
        # Whatever came, it is not what was signed; starting over is all that can help.
        part.unlink(missing_ok=True)
        raise UpdateFailedError(Reason.DIGEST_MISMATCH, f"The bytes of {target.path} are not the signed ones.")
    part.replace(destination)
    folder_sync(destination.parent)


def _part_of(destination: Path, target: Target) -> Path:
    """Where bytes of this target gather. Those of other targets are of no more use and make room."""
    part = destination.with_name(f"{destination.name}.{target.sha256[:16]}.part")
    destination.unlink(missing_ok=True)
    for other in destination.parent.glob(f"{destination.name}.*.part"):
        if other != part:
            other.unlink(missing_ok=True)
    return part


def is_verified(path: Path, target: Target) -> bool:
    """Whether the file is there and has the signed length and SHA-256."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != target.size_bytes:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == target.sha256
    except FileNotFoundError:
        return False


def _receive(
    control_plane: ControlPlane, href: str, target: Target, part: Path, keep_going: Callable[[], None]
) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with control_plane.stream("GET", href, headers=headers) as response:
            start = _start_of(response, have)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT, PRIVATE_FILE)
            with os.fdopen(handle, "wb") as file:
                file.truncate(start)
                file.seek(start)
                try:
                    _write(response, file.write, target.size_bytes - start, target.path, keep_going)
                finally:
                    # What came is worth keeping whatever ended it.
                    with contextlib.suppress(OSError):
                        file.flush()
                        os.fsync(file.fileno())
    except UnreachableError as error:
        raise RetryLaterError(str(error), after_s=error.after_s) from error
    except RefusedError as error:
        if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            raise RetryLaterError("The server has no such range: starting over.") from error
        raise UpdateFailedError(Reason.DOWNLOAD_FAILED, f"{target.path}: {error}") from error
    except httpx.HTTPError as error:
        raise RetryLaterError(f"The download broke off: {error or type(error).__name__}") from error
    except OSError as error:
        raise UpdateFailedError(Reason.OUT_OF_SPACE, f"{part.name} cannot be written: {error}") from error
    if part.stat().st_size < target.size_bytes:
        raise RetryLaterError("The download ended early.")


def _start_of(response: httpx.Response, asked: int) -> int:
    """Where the answer's bytes begin: a server may ignore ``Range`` and send the whole file."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return 0
    described = response.headers.get("Content-Range", "")
    if not described.startswith(f"bytes {asked}-"):
        raise UnreachableError(f"Bytes from {asked} were asked for, the answer has {described!r}.")
    return asked


def _write(
    response: httpx.Response,
    write: Callable[[bytes], object],
    remaining: int,
    name: str,
    keep_going: Callable[[], None],
) -> None:
    for block in response.iter_bytes(BLOCK_BYTES):
        keep_going()
        remaining -= len(block)
        if remaining < 0:
            raise UpdateFailedError(Reason.DOWNLOAD_TOO_LARGE, f"{name} has more bytes than were signed.")
        write(block)
