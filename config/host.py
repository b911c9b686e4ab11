"""Refuses requests for host names this installation does not answer to, before anything else looks at them."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from config.exception_handler import error_body

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def host_is_ours(host: str) -> bool:
    """Whether ``host`` (a Host header) is one of ours: ``FLOTILLA_ALLOWED_HOSTS``, or ``DEVICE_URL``'s."""
    return _is_allowed(host, (*settings.ALLOWED_HOSTS, urlsplit(settings.DEVICE_URL).hostname or ""))


@functools.lru_cache(maxsize=1024)
def _is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """Every request asks, nearly always about the same name; what strangers send pushes only each other out."""
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


class HostGuard:
    """ASGI middleware; 400 for a forged or missing Host, a refused handshake on WebSockets."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what is addressed to us. Health checks by address are let through: they reveal nothing."""
        if scope["type"] == "lifespan" or scope.get("path") == "/healthz":
            await self._application(scope, receive, send)
            return
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        if host_is_ours(host):
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
        else:
            await send_json(
                send,
                400,
                error_body("unknown_host", "This server does not answer to the host name of the request."),
            )


async def send_json(
    send: Send, status: int, body: dict[str, Any], headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answer a raw ASGI request with JSON."""
    content = json.dumps(body).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(content)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": content})
