"""Who is calling: access tokens checked without the database.

A token is verified once and then found in a bounded table. What was revoked is known in memory: told at once by a
notice, and read again every few seconds, so that a lost notice costs seconds and not the token's lifetime.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from typing import Any

from starlette.requests import Request

from common.clock import now
from common.live import Listener, hub
from fleet import hot
from fleet.errors import AccessRefusedError
from fleet.events import CHANNEL_ACCESS
from fleet.services.access import ACCESS_LIFETIME, VerifiedToken, access_token_decode
from fleet.types import DeviceCaller

logger = logging.getLogger(__name__)

_TABLE_SIZE = 50_000  # verified tokens; some 400 bytes each
_REFRESH_S = 5.0
_KEEP_S = ACCESS_LIFETIME.total_seconds() + 120


class TokenTable:
    """Verified tokens and revoked generations of this process."""

    def __init__(self, size: int = _TABLE_SIZE) -> None:
        self._size = size
        self._verified: OrderedDict[str, VerifiedToken] = OrderedDict()
        # device number -> (lowest generation still accepted, when we learned of it)
        self._revoked: dict[int, tuple[int, float]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Listener | None = None
        self._refreshed_at = -_REFRESH_S
        self._refreshing: asyncio.Task[None] | None = None

    def check(self, text: str) -> DeviceCaller:
        """The caller a token names.

        Raises:
            AccessRefusedError: not valid, expired or revoked.
        """
        self._keep_informed()
        verified = self._verified.get(text)
        if verified is None:
            verified = access_token_decode(text)
            generation, _ = self._revoked.get(verified.caller.device_id, (0, 0.0))
            if verified.generation < generation:
                raise AccessRefusedError("The access token was revoked; get a new one.")
            self._verified[text] = verified
            if len(self._verified) > self._size:
                self._verified.popitem(last=False)
        elif verified.expires_at_s <= now().timestamp():
            del self._verified[text]
            raise AccessRefusedError("The access token has expired; get a new one.")
        return verified.caller

    def revoke(self, device_id: int, generation: int) -> None:
        """Refuse the device's tokens below ``generation`` from now on."""
        known, _ = self._revoked.get(device_id, (0, 0.0))
        if generation > known:
            self._revoked[device_id] = (generation, time.monotonic())
            # Rare, and simpler than an index by device: every token is verified once more.
            self._verified.clear()

    async def refresh(self) -> None:
        """Read what was revoked lately."""
        for device_id, generation in await hot.revoked_generations():
            self.revoke(device_id, generation)
        oldest = time.monotonic() - _KEEP_S
        self._revoked = {key: value for key, value in self._revoked.items() if value[1] > oldest}

    def _keep_informed(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._listener is not None:
                self._listener.close()
            self._loop = loop
            self._refreshed_at = -_REFRESH_S
            self._listener = hub.listen(CHANNEL_ACCESS, self._heard, on_gap=self._missed)
        if loop.time() - self._refreshed_at >= _REFRESH_S:
            self._refreshed_at = loop.time()
            self._refreshing = loop.create_task(self._refresh_quietly())

    def _heard(self, payload: Any) -> None:
        device_id, generation = payload
        self.revoke(device_id, generation)

    def _missed(self) -> None:
        self._refreshed_at = -_REFRESH_S

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh()
        except Exception:
            # The next request tries again; until then the notices are what we know.
            logger.exception("revoked tokens could not be read")


tokens = TokenTable()


def authenticate(authorization: bytes, *, tenant: str, controller_id: str | None) -> DeviceCaller:
    """The device a request comes from. No database; call on the event loop.

    Args:
        authorization: the header.
        tenant: as the path names it, in any case.
        controller_id: as the path names it; None when the path has none.

    Raises:
        AccessRefusedError: a 401: no token, or one that is not valid for this path.
    """
    scheme, _, text = authorization.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise AccessRefusedError("The request carries no access token.")
    caller = tokens.check(text)
    if tenant.lower() != caller.tenant or controller_id not in {None, caller.controller_id}:
        raise AccessRefusedError("The access token is another device's.")
    return caller


def authenticate_device(request: Request) -> DeviceCaller:
    """The device a routed request comes from; as ``authenticate``, by the path's ``tenant`` and ``cid``."""
    path = request.path_params
    return authenticate(
        request.headers.get("authorization", "").encode("latin-1"),
        tenant=str(path.get("tenant", "")),
        controller_id=path.get("cid"),
    )
