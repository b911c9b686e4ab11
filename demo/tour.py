"""What the dashboard's tour panel shows, and the door through which its buttons reach the story.

The door listens on the loopback interface only, and answers only the web server, which shows the secret the two got
from the supervisor. It says for which organization the story is; the web server shows it to nobody else.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

log = logging.getLogger(__name__)

MAX_TEXT = 500
MAX_STEPS = 20
LATEST_STEPS = 12
State = Literal["waiting", "running", "done", "failed"]


@dataclass
class Step:
    """One step of the story.

    Args:
        key: stable.
        title: what the step is about.
        state: how far it is.
        text: one sentence about what is going on, or how it ended.
        at: when it came into its state.
        link: a path of the dashboard, or None.
    """

    key: str
    title: str
    state: State = "waiting"
    text: str = ""
    at: datetime | None = None
    link: str | None = None

    def become(self, state: State, text: str, *, at: datetime | None = None, link: str | None = None) -> None:
        """Say how it goes; the time is kept while the state stays."""
        if state != self.state or at is not None:
            self.at = at or datetime.now(UTC)
            log.info("%s: %s. %s", self.title, state, text)
        self.state, self.text = state, text
        self.link = link or self.link

    def body(self) -> dict[str, Any]:
        """As the API answers it."""
        return {
            "key": self.key,
            "title": self.title,
            "state": self.state,
            "text": self.text[:MAX_TEXT],
            "at": self.at.isoformat() if self.at else None,
            "link": self.link,
        }


@dataclass
class Action:
    """A button.

    Args:
        key: stable.
        title: what it does; may change with what is going on.
        text: what will happen, or why it cannot be pressed now; None as reason means it can.
    """

    key: str
    title: Callable[[], str]
    text: str
    unavailable: Callable[[], str | None]
    perform: Callable[[], Awaitable[None]]

    def body(self) -> dict[str, Any]:
        """As the API answers it."""
        reason = self.unavailable()
        return {
            "key": self.key,
            "title": self.title(),
            "is_available": reason is None,
            "text": self.text if reason is None else reason,
        }


@dataclass
class Tour:
    """All of it, for one organization.

    Args:
        tenant: the organization's slug.
    """

    tenant: str
    steps: list[Step] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def step(self, key: str, title: str) -> Step:
        """The step of that key, added at the end when it is new."""
        found = next((step for step in self.steps if step.key == key), None)
        if found is None:
            found = Step(key, title)
            self.steps.append(found)
            if len(self.steps) > MAX_STEPS:  # a button pressed for days; the story itself stays
                del self.steps[-LATEST_STEPS - 1]
        return found

    def body(self) -> dict[str, Any]:
        """As the API answers it."""
        return {
            "organization": self.tenant,
            "steps": [step.body() for step in self.steps],
            "actions": [action.body() for action in self.actions],
        }


def application(tour: Tour, secret: str) -> Starlette:
    """The door: ``GET /tour``, ``POST /actions/{key}``."""

    def refusal(request: Request) -> JSONResponse | None:
        if not hmac.compare_digest(request.headers.get("X-Demo-Secret", "").encode(), secret.encode()):
            return _error(403, "not_permitted", "Only the web server talks to this address.")
        return None

    async def show(request: Request) -> JSONResponse:
        return refusal(request) or JSONResponse(tour.body())

    async def perform(request: Request) -> JSONResponse:
        refused = refusal(request)
        if refused is not None:
            return refused
        action = next((one for one in tour.actions if one.key == request.path_params["key"]), None)
        if action is None:
            return _error(404, "not_found", "There is no such action.")
        reason = action.unavailable()
        if reason is not None:
            return _error(409, "demo.not_now", reason)
        await action.perform()
        return JSONResponse(tour.body(), status_code=202)

    return Starlette(routes=[Route("/tour", show), Route("/actions/{key}", perform, methods=["POST"])])


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status_code=status)


class Door(uvicorn.Server):
    """The door's server, in our event loop; signals are ours to handle."""

    def __init__(self, tour: Tour, *, url: str, secret: str) -> None:
        parts = urlsplit(url)
        super().__init__(
            uvicorn.Config(
                application(tour, secret),
                host=parts.hostname or "127.0.0.1",
                port=parts.port or 0,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them alone."""
        yield
