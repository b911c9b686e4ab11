"""hawkBit DDI: the update door. Parse, one call, render; every success is 200 (clients take no other)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from common.bridge import bridge
from common.errors import InvalidInputError, TooManyRequestsError
from fleet.device_api.authentication import authenticate_device
from fleet.device_api.routes import body_read
from fleet.hot import touch
from fleet.services.attributes import Mode
from fleet.types import DeviceCaller
from rollouts.device_api.polltable import table
from rollouts.errors import ActionNotFoundError, NotAcceptableError, UnsupportedMediaTypeError
from rollouts.services.actions import Client, cancel_resource, deployment_resource, installed_resource
from rollouts.services.evidence import device_attributes
from rollouts.services.feedback import action_feedback, cancel_feedback
from rollouts.services.offers import device_offer

_NUMBER_MAX: Final = 2**31 - 1  # SWUpdate reads a C int
_BODY_MAX: Final = 256_000
_ATTRIBUTES_MAX: Final = 100
_EXECUTIONS: Final = frozenset(
    {"closed", "canceled", "proceeding", "scheduled", "resumed", "rejected", "download", "downloaded"}
)
_FINISHED: Final = frozenset({"success", "failure", "none"})
_MODES: Final[dict[str, Mode]] = {"merge": "merge", "replace": "replace", "remove": "remove"}
_JSON: Final = b"application/json"


class Result(msgspec.Struct):
    """``finished``; progress is ignored, clients send it in several shapes."""

    finished: str


class Status(msgspec.Struct):
    """What happened."""

    execution: str
    result: Result
    details: list[Any] | str | None = None


class Feedback(msgspec.Struct):
    """A feedback message. Legacy ``id`` and ``time`` are ignored, as hawkBit does."""

    status: Status


class Attributes(msgspec.Struct):
    """``configData``."""

    data: dict[str, Any]
    mode: str | None = None


class RootPoll:
    """``GET /{tenant}/controller/v1/{cid}`` as a bare ASGI application: the hottest path of all."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers from the table; looks up and makes a due action where it must."""
        request = Request(scope)
        caller = authenticate_device(request)
        touch(caller.device_id)
        entry = table.find(caller.device_id) or await table.look_up(caller)
        if entry is None:
            raise ActionNotFoundError("There is no such device.", code="not_found")
        answer = table.answer(entry)
        if answer is None:
            await bridge.run(device_offer, organization_id=caller.organization_id, device_id=caller.device_id)
            entry = await table.look_up(caller) or entry
            answer = table.answer(entry) or entry.quiet
        is_known = request.headers.get("if-none-match", "").encode("latin-1") == answer.etag
        body = b"" if is_known else answer.body
        headers = [(b"etag", answer.etag), (b"cache-control", b"no-store")]
        if not is_known:
            headers += [(b"content-type", _JSON), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 304 if is_known else 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def config_data(request: Request) -> Response:
    """``PUT .../configData``."""
    caller = _caller(request)
    message = await _message(request, Attributes)
    mode = _MODES.get(message.mode or "merge")
    if mode is None:
        raise InvalidInputError("mode is merge, replace or remove.", fields={"mode": "unknown"})
    if not message.data and mode != "replace":
        raise InvalidInputError("data is empty.", fields={"data": "empty"})
    if len(message.data) > _ATTRIBUTES_MAX:
        raise TooManyRequestsError(f"A device has at most {_ATTRIBUTES_MAX} attributes.", code="quota")
    values = {name: value if isinstance(value, str) else _text(value) for name, value in message.data.items()}
    await bridge.run(device_attributes, caller, values=values, mode=mode)
    return Response(status_code=200)


async def deployment_base(request: Request) -> Response:
    """``GET .../deploymentBase/{number}``."""
    caller = _caller(request)
    _acceptable(request)
    body = await bridge.run(
        deployment_resource, _client(request, caller), number=_number(request), history=_history(request)
    )
    return JSONResponse(body)


async def deployment_feedback(request: Request) -> Response:
    """``POST .../deploymentBase/{number}/feedback``."""
    return await _feedback(request, is_cancel=False)


async def cancel_action(request: Request) -> Response:
    """``GET .../cancelAction/{number}``."""
    caller = _caller(request)
    _acceptable(request)
    return JSONResponse(await bridge.run(cancel_resource, caller, number=_number(request)))


async def cancel_action_feedback(request: Request) -> Response:
    """``POST .../cancelAction/{number}/feedback``."""
    return await _feedback(request, is_cancel=True)


async def installed_base(request: Request) -> Response:
    """``GET .../installedBase/{number}``."""
    caller = _caller(request)
    _acceptable(request)
    body = await bridge.run(
        installed_resource, _client(request, caller), number=_number(request), history=_history(request)
    )
    return JSONResponse(body)


async def _feedback(request: Request, *, is_cancel: bool) -> Response:
    caller = _caller(request)
    number = _number(request)
    status = (await _message(request, Feedback)).status
    if status.execution not in _EXECUTIONS:
        raise InvalidInputError("The execution is not one DDI knows.", fields={"status.execution": "unknown"})
    if status.result.finished not in _FINISHED:
        raise InvalidInputError("finished is success, failure or none.", fields={"status.result.finished": "unknown"})
    raw = [status.details] if isinstance(status.details, str) else status.details or []
    details = [(line if isinstance(line, str) else _text(line)).replace("\x00", "") for line in raw]
    await bridge.run(
        cancel_feedback if is_cancel else action_feedback,
        caller,
        number=number,
        execution=status.execution,
        finished=status.result.finished,
        details=details,
    )
    return Response(status_code=200)


def _caller(request: Request) -> DeviceCaller:
    caller = authenticate_device(request)
    touch(caller.device_id)
    return caller


def _client(request: Request, caller: DeviceCaller) -> Client:
    agent = request.headers.get("user-agent", "").lower()
    return Client(caller=caller, takes_one_file=agent.startswith("rauc-hawkbit"))


def _number(request: Request) -> int:
    text: str = request.path_params["number"]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0  # noqa: PLR2004 - digits of an int
    if not 0 < number <= _NUMBER_MAX:
        raise ActionNotFoundError("There is no such action for this device.")
    return number


def _history(request: Request) -> int:
    try:
        return max(-1, min(int(request.query_params.get("actionHistory", "0")), 1_000_000))
    except ValueError as error:
        raise InvalidInputError("actionHistory is a number.", fields={"actionHistory": "a number"}) from error


def _acceptable(request: Request) -> None:
    accept = request.headers.get("accept", "*/*").lower()
    if not any(kind in accept for kind in ("*/*", "application/*", "json")):
        raise NotAcceptableError("The answer is JSON; accept application/json or application/hal+json.")


async def _message(request: Request, kind: type[Any]) -> Any:
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type not in {"application/json", "application/hal+json"}:
        raise UnsupportedMediaTypeError("Send application/json.")
    body = await body_read(request, limit=_BODY_MAX)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"The message cannot be read: {error}") from error


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
