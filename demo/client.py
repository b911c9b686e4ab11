"""The operators' API as the story uses it: what anybody with a token could do, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

log = logging.getLogger(__name__)

_ATTEMPTS = 40  # of a request while the server is away: it is restarted, and the story goes on
_PAUSE_S = 1.0
_AWAY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE})
Json = dict[str, Any]


class ApiError(Exception):
    """The server said no.

    Attributes:
        status: of HTTP.
        code: the API's stable code.
    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class Api:
    """A client with a bearer token.

    Args:
        url: the installation's address.
        token: an API token.
        http: the client; tests give one with another transport.
    """

    def __init__(self, url: str, token: str, http: httpx.AsyncClient | None = None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._http = http or httpx.AsyncClient(timeout=30.0, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, **parameters: str | int) -> Json:
        """One object or one page.

        Raises:
            ApiError: the answer is an error.
        """
        return await self._json("GET", path, params=parameters)

    async def post(self, path: str, body: Json | None = None) -> Json:
        """Make or do something.

        Raises:
            ApiError: the answer is an error.
        """
        return await self._json("POST", path, json=body or {})

    async def pages(self, path: str, **parameters: str | int) -> AsyncIterator[Json]:
        """Every object of a list."""
        page = await self.get(path, **parameters)
        while True:
            for entry in page["results"]:
                yield entry
            if not page["next"]:
                return
            page = await self._json("GET", page["next"])

    async def find(self, path: str, *, where: Json, **parameters: str | int) -> Json | None:
        """The first object of a list with these values, or None."""
        async for entry in self.pages(path, **parameters):
            if all(entry[key] == value for key, value in where.items()):
                return entry
        return None

    async def find_or_create(self, path: str, body: Json, *, by: str = "name") -> Json:
        """The object of that name, made when there is none."""
        found = await self.find(path, where={by: body[by]}, limit=200)
        return found or await self.post(path, body)

    async def upload(self, path: Path) -> str:
        """Send a file through the upload door (tus 1.0); returns the upload's id."""
        content = await asyncio.to_thread(path.read_bytes)
        name = base64.b64encode(path.name.encode()).decode()
        tus = {"Tus-Resumable": "1.0.0"}
        created = await self._send(
            "POST",
            "uploads/",
            headers={**tus, "Upload-Length": str(len(content)), "Upload-Metadata": f"filename {name}"},
        )
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        location = created.headers["Location"]
        await self._send(
            "PATCH",
            location,
            headers={
                **tus,
                "Upload-Offset": "0",
                "Upload-Checksum": f"sha256 {digest}",
                "Content-Type": "application/offset+octet-stream",
            },
            content=content,
        )
        return str(location.rstrip("/").rpartition("/")[2])

    async def _json(self, method: str, path: str, **arguments: Any) -> Json:
        response = await self._send(method, path, **arguments)
        value: Json = response.json() if response.content else {}
        return value

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request, repeated while the server is away. What the story does may be done twice without harm."""
        address = path if path.startswith(("http://", "https://", "/")) else f"/api/v1/{path}"
        url = address if "://" in address else self.url + address
        headers = {**self._headers, **arguments.pop("headers", {})}
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = await self._http.request(method, url, headers=headers, **arguments)
            except httpx.TransportError as error:
                if attempt == _ATTEMPTS:
                    raise
                log.info("%s %s: %s; trying again", method, path, error)
            else:
                if response.status_code not in _AWAY or attempt == _ATTEMPTS:
                    return _checked(response)
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        body = response.json()
    except ValueError:
        body = {}
    code = str(body.get("code", ""))
    fields = " ".join(f"{name}: {text}" for name, text in (body.get("fields") or {}).items())
    request, message = response.request, body.get("message", response.status_code)
    text = f"{request.method} {request.url.path}: {message} {fields}"
    raise ApiError(response.status_code, code, text.strip())
