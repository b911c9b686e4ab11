"""Talks HTTP with the control plane: bounded in time and bytes, with a token that renews itself."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from flotilla_agent import __version__
from flotilla_agent.clock import Clock
from flotilla_protocol import codec
from flotilla_protocol import identity as proofs
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.messages import TokenRequest, TokenResponse

T = TypeVar("T")

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
USER_AGENT = f"flotilla-agent/{__version__}"
MAX_ANSWER_BYTES = 2_000_000
ANSWER_DEADLINE_S = 60.0
MAX_RETRY_AFTER_S = 300.0
TOKEN_MARGIN_S = 60.0  # a token is renewed so long before it ends


class UnreachableError(Exception):
    """The network or the control plane is away, or too busy; nothing is known to have happened."""

    def __init__(self, text: str, *, after_s: float = 0.0) -> None:
        super().__init__(text)
        self.after_s = after_s


class RefusedError(Exception):
    """The control plane answered, and said no."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{status} {code}: {text}" if code else f"{status}: {text}")
        self.status = status
        self.code = code
        self.text = text


class Answer(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: httpx.Headers
    body: bytes

    def message(self, kind: type[T]) -> T:
        """The body as a message.

        Raises:
            UnreachableError: it is none: something between us and the control plane answered in its place.
        """
        try:
            return codec.decode(self.body, kind)
        except InvalidMessageError as error:
            raise UnreachableError(f"The answer cannot be understood: {error}") from error


def retry_after_s(headers: httpx.Headers) -> float:
    """The seconds ``Retry-After`` asks for, at most five minutes; 0 when it says nothing usable."""
    try:
        seconds = float(headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0
    return min(seconds, MAX_RETRY_AFTER_S) if seconds > 0 else 0.0  # NaN is not above 0


def refusal(status: int, headers: httpx.Headers, body: bytes) -> UnreachableError | RefusedError:
    """The error a status of 400 or more means."""
    try:
        content = msgspec.json.decode(body) if body else {}
    except msgspec.DecodeError:
        content = {}
    if not isinstance(content, dict):
        content = {}
    code = str(content.get("code") or content.get("errorCode") or "")
    text = str(content.get("message") or _PHRASES.get(status, "refused"))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.REQUEST_TIMEOUT,
    }:
        return UnreachableError(f"{status} {text}", after_s=retry_after_s(headers))
    return RefusedError(status, code, text)


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port, with the scheme's own port filled in."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class Addresses(msgspec.Struct, frozen=True):
    """The addresses one device needs before it was given any link."""

    server: str
    tenant: str
    controller_id: str

    @property
    def enrol(self) -> str:
        """Where a device is let in."""
        return f"{self.server}/{self.tenant}/agent/v1/enrol"

    @property
    def token(self) -> str:
        """Where an assertion is exchanged."""
        return f"{self.server}/{self.tenant}/agent/v1/token"

    @property
    def configuration(self) -> str:
        """The agent's own resource."""
        return f"{self.server}/{self.tenant}/agent/v1/{quote(self.controller_id, safe='')}"

    @property
    def root(self) -> str:
        """The DDI root."""
        return f"{self.server}/{self.tenant}/controller/v1/{quote(self.controller_id, safe='')}"

    def assertion(self, key: proofs.PrivateKey, clock: Clock) -> str:
        """A fresh assertion."""
        return proofs.assertion_make(
            key=key,
            tenant=self.tenant,
            controller_id=self.controller_id,
            audience=proofs.assertion_audience(self.server, self.tenant),
            now=clock.now(),
        )


class ControlPlane:
    """One device's connection. Safe to use from several threads.

    Args:
        addresses: where the control plane is.
        key: the device's key.
        clock: corrected when the control plane's time is far from ours.
        http: by default a client of our own; tests may give one.
        tls: of that client; by default it trusts what this machine trusts and shows no certificate.
    """

    def __init__(
        self,
        addresses: Addresses,
        key: proofs.PrivateKey,
        clock: Clock,
        http: httpx.Client | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.addresses = addresses
        self.clock = clock
        self._key = key
        self._http = http or httpx.Client(timeout=TIMEOUT, headers={"User-Agent": USER_AGENT}, verify=tls or True)
        self._lock = threading.Lock()
        self._token = ""
        self._token_ends = 0.0

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    # --- Requests -----------------------------------------------------------------------------------
    def request(
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

        Args:
            method: GET, PUT or POST.
            url: an absolute address.
            message: sent as JSON.
            content: (content type, bytes), sent as it is.
            headers: further headers.
            max_bytes: a longer answer is refused.
            authenticated: whether to send the access token.

        Raises:
            UnreachableError: network, timeout, 5xx, 429, or an answer beyond its bounds.
            RefusedError: any other status of 400 and above.
        """
        sent = dict(headers or {})
        body: bytes | None = None
        if message is not None:
            sent["Content-Type"], body = codec.JSON, codec.encode(message)
        elif content is not None:
            sent["Content-Type"], body = content
        with self.stream(method, url, headers=sent, body=body, authenticated=authenticated) as response:
            answered = read_bounded(response, max_bytes)
            return Answer(response.status_code, response.headers, answered)

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        authenticated: bool = True,
    ) -> Iterator[httpx.Response]:
        """An open answer (status below 400) whose body the caller reads; errors as in ``request``.

        A 401 is answered by one new token and one more try. The token goes to the control plane only: not to
        another host in a link, nor after a redirect.
        """
        is_ours = origin_of(url) == origin_of(self.addresses.server)
        for attempt in (1, 2):
            sent = dict(headers or {})
            if authenticated and is_ours:
                sent["Authorization"] = f"Bearer {self.token()}"
            try:
                with self._http.stream(
                    method, url, headers=sent, content=body, follow_redirects=method == "GET"
                ) as response:
                    was_refused = response.status_code == HTTPStatus.UNAUTHORIZED
                    if was_refused and "Authorization" in sent and attempt == 1:
                        self.forget_token()
                        continue
                    if response.status_code >= HTTPStatus.BAD_REQUEST:
                        answered = read_bounded(response, MAX_ANSWER_BYTES)
                        raise refusal(response.status_code, response.headers, answered)
                    yield response
                    return
            except httpx.HTTPError as error:
                text = f"{method} {urlsplit(url).path}: {error or type(error).__name__}"
                raise UnreachableError(text) from error
            except httpx.InvalidURL as error:
                raise RefusedError(0, "", f"The address {url!r} is not valid.") from error

    # --- The access token ---------------------------------------------------------------------------
    def token(self) -> str:
        """A token that is still good for a while."""
        with self._lock:
            if time.monotonic() >= self._token_ends:
                self._renew()
            return self._token

    def forget_token(self) -> None:
        """The control plane no longer takes it."""
        with self._lock:
            self._token_ends = 0.0

    def _renew(self) -> None:
        for attempt in (1, 2):
            assertion = self.addresses.assertion(self._key, self.clock)
            try:
                response = self._http.post(
                    self.addresses.token,
                    content=codec.encode(TokenRequest(assertion)),
                    headers={"Content-Type": codec.JSON},
                )
            except httpx.HTTPError as error:
                raise UnreachableError(f"No access token: {error or type(error).__name__}") from error
            if response.is_success:
                break
            # A clock that is off makes assertions that are from the future or expired.
            if attempt == 1 and self.clock.correct_by_date(response.headers.get("Date")):
                continue
            raise refusal(response.status_code, response.headers, response.content)
        answer = Answer(response.status_code, response.headers, response.content).message(TokenResponse)
        self._token = answer.access_token
        self._token_ends = time.monotonic() + useful_life_s(answer.expires_in_s)


def useful_life_s(expires_in_s: float) -> float:
    """How long a token is used: a margin less than it lives, and at least half of a very short life."""
    return max(expires_in_s - TOKEN_MARGIN_S, expires_in_s / 2)


def read_bounded(response: httpx.Response, max_bytes: int) -> bytes:
    """The body, if it has at most ``max_bytes`` and comes within a minute.

    Raises:
        UnreachableError: it is longer or slower.
    """
    deadline = time.monotonic() + ANSWER_DEADLINE_S
    blocks: list[bytes] = []
    size = 0
    for block in response.iter_bytes():
        size += len(block)
        if size > max_bytes:
            raise UnreachableError(f"The answer has more than {max_bytes} bytes.")
        if time.monotonic() > deadline:
            raise UnreachableError(f"The answer took more than {ANSWER_DEADLINE_S:.0f} s.")
        blocks.append(block)
    return b"".join(blocks)
