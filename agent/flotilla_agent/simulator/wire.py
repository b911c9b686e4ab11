"""One simulated device's requests: asynchronous, with the same errors and the same token rules as the
agent's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

import httpx

from flotilla_agent.client import (
    MAX_ANSWER_BYTES,
    Addresses,
    Answer,
    UnreachableError,
    origin_of,
    refusal,
    useful_life_s,
)
from flotilla_agent.simulator.faults import Faults, OfflineError
from flotilla_protocol import codec
from flotilla_protocol import identity as proofs
from flotilla_protocol.messages import TokenRequest, TokenResponse


class Wire:
    """A device's connection over a client shared by the fleet.

    Args:
        http: the fleet's client.
        addresses: where the control plane is.
        key: the device's key.
        faults: an offline device's requests never leave.
        now: the device's clock.
        turns: bounds how many requests of the fleet are under way; a queue inside httpx would cost far more.
    """

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        addresses: Addresses,
        key: proofs.PrivateKey,
        faults: Faults,
        now: Callable[[], datetime],
        turns: asyncio.Semaphore,
    ) -> None:
        self.addresses = addresses
        self.request_count = 0
        self._http = http
        self._key = key
        self._faults = faults
        self._now = now
        self._turns = turns
        self._token = ""
        self._token_ends = 0.0
        self._origin = origin_of(addresses.server)
        self._renewing = asyncio.Lock()

    async def request(
        self,
        method: str,
        url: str,
        *,
        message: Any = None,
        content: tuple[str, bytes] | None = None,
        headers: dict[str, str] | None = None,
        max_bytes: int = MAX_ANSWER_BYTES,
        authenticated: bool = True,
    ) -> Answer:
        """One request and its whole answer (status below 400).

        Raises:
            OfflineError: the network is cut.
            UnreachableError, RefusedError: as the agent's client.
        """
        sent = dict(headers or {})
        body: bytes | None = None
        if message is not None:
            sent["Content-Type"], body = codec.JSON, codec.encode(message)
        elif content is not None:
            sent["Content-Type"], body = content
        is_ours = authenticated and origin_of(url) == self._origin
        for attempt in (1, 2):
            if is_ours:
                sent["Authorization"] = f"Bearer {await self._fresh_token()}"
            response = await self._send(method, url, sent, body)
            if response.status_code == HTTPStatus.UNAUTHORIZED and is_ours and attempt == 1:
                self._token_ends = 0.0
                continue
            break
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise refusal(response.status_code, response.headers, response.content)
        if len(response.content) > max_bytes:
            raise UnreachableError(f"The answer has more than {max_bytes} bytes.")
        return Answer(response.status_code, response.headers, response.content)

    async def _send(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> httpx.Response:
        if self._faults.is_offline:
            raise OfflineError
        self.request_count += 1
        try:
            async with self._turns:
                return await self._http.request(
                    method, url, headers=headers, content=body, follow_redirects=method == "GET"
                )
        except httpx.HTTPError as error:
            raise UnreachableError(f"{method} {url}: {error or type(error).__name__}") from error

    async def _fresh_token(self) -> str:
        async with self._renewing:
            if time.monotonic() < self._token_ends:
                return self._token
            assertion = proofs.assertion_make(
                key=self._key,
                tenant=self.addresses.tenant,
                controller_id=self.addresses.controller_id,
                audience=proofs.assertion_audience(self.addresses.server, self.addresses.tenant),
                now=self._now(),
            )
            answer = await self._send(
                "POST",
                self.addresses.token,
                {"Content-Type": codec.JSON},
                codec.encode(TokenRequest(assertion)),
            )
            if not answer.is_success:
                raise refusal(answer.status_code, answer.headers, answer.content)
            token = Answer(answer.status_code, answer.headers, answer.content).message(TokenResponse)
            self._token = token.access_token
            self._token_ends = time.monotonic() + useful_life_s(token.expires_in_s)
            return self._token
