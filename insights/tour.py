"""The demo's story, asked for where it runs.

Only ``make demo`` sets ``FLOTILLA_DEMO_CONTROL_URL``. What listens there answers ``GET /tour`` with ``{organization,
steps, actions}`` and takes ``POST /actions/{key}``. The story is one organization's; for every other there is none.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import httpx
import msgspec
from django.conf import settings
from django.db import transaction
from msgspec import Meta

from governance.models import Role
from governance.selectors import organization_of
from governance.services.audit import audit_write
from governance.types import Caller
from insights.errors import NoTourError, TourActionRefusedError, TourUnavailableError

_TIMEOUT = httpx.Timeout(3.0)
_MAX_BYTES = 256_000
_KEY = re.compile(r"[a-z0-9_-]{1,64}")
_CONFLICT, _NOT_FOUND = 409, 404

Short = Annotated[str, Meta(max_length=500)]


class TourStep(msgspec.Struct, frozen=True):
    """A step of the story; ``link`` is a path of the dashboard."""

    key: Short
    title: Short
    state: Literal["waiting", "running", "done", "failed"]
    text: Short = ""
    at: Short | None = None
    link: Short | None = None


class TourAction(msgspec.Struct, frozen=True):
    """Something the story can be asked to do."""

    key: Short
    title: Short
    is_available: bool
    text: Short = ""


class Tour(msgspec.Struct, frozen=True):
    """The story as it stands."""

    organization: Short  # slug of the one organization it is about
    steps: Annotated[list[TourStep], Meta(max_length=100)]
    actions: Annotated[list[TourAction], Meta(max_length=20)]


def tour(*, caller: Caller) -> Tour:
    """The story as it stands.

    Raises:
        NoTourError: there is none for the caller's organization.
        TourUnavailableError: it does not answer, or nothing that can be understood.
    """
    status, body = _ask("GET", "/tour")
    if status != httpx.codes.OK:
        raise TourUnavailableError("The demo's story does not answer.", context={"status": status})
    try:
        told = msgspec.json.decode(body, type=Tour)
    except msgspec.DecodeError as error:
        raise TourUnavailableError("The demo's story answers nonsense.", context={"error": str(error)}) from error
    if told.organization != organization_of(caller=caller).slug:
        raise NoTourError("There is no tour here.")
    return told


def tour_act(*, caller: Caller, key: str) -> None:
    """Ask the story to do something.

    Raises:
        NotPermittedError: the caller is no operator.
        NoTourError: there is no story for the caller's organization, or it does not know the action.
        TourActionRefusedError: not at this point of the story.
        TourUnavailableError: it does not answer.
    """
    caller.require(Role.OPERATOR)
    actions = {action.key: action for action in tour(caller=caller).actions}
    if key not in actions or not _KEY.fullmatch(key):
        raise NoTourError("The tour has no such action.")
    status, _ = _ask("POST", f"/actions/{key}")
    if status == _CONFLICT:
        raise TourActionRefusedError(actions[key].text or "The story cannot do this now.")
    if status == _NOT_FOUND:
        raise NoTourError("The tour has no such action.")
    if status >= httpx.codes.BAD_REQUEST:
        raise TourUnavailableError("The demo's story does not answer.", context={"status": status})
    with transaction.atomic():
        audit_write(
            organization_id=caller.organization_id,
            actor=caller.actor,
            action="tour.act",
            object_kind="tour",
            object_id=key,
        )


def _ask(method: str, path: str) -> tuple[int, bytes]:
    if not settings.DEMO_CONTROL_URL:
        raise NoTourError("There is no tour here.")
    try:
        # The story listens on this machine; a proxy from the environment must not see it.
        with (
            httpx.Client(timeout=_TIMEOUT, trust_env=False) as client,
            client.stream(method, settings.DEMO_CONTROL_URL.rstrip("/") + path, headers=_secret()) as answer,
        ):
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise TourUnavailableError("The demo's story answers too much.")
            return answer.status_code, body
    except httpx.HTTPError as error:
        raise TourUnavailableError("The demo's story does not answer.", context={"error": repr(error)}) from error


def _secret() -> dict[str, str]:
    """Other people on this machine can reach the address, but do not know this."""
    return {"X-Demo-Secret": settings.DEMO_CONTROL_SECRET}


def tour_as_json(told: Tour) -> dict[str, Any]:
    """``{steps, actions}``."""
    plain: dict[str, Any] = msgspec.to_builtins(told)
    return {"steps": plain["steps"], "actions": plain["actions"]}
