"""The whole thing for tests: the installation ``make demo`` runs, with its story and fewer devices.

It takes minutes and is started once per run: tests that use it belong to one group (``pytest.mark.xdist_group``), so
that one worker has them all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.embedded.installation import RunningInstallation

GROUP = "story"
SIMULATED_DEVICES = 12
AGENTS = 3
START_DEADLINE_S = 180.0
STORY_DEADLINE_S = 420.0
STEPS = ("join", "publish", "first", "better", "bad", "drift")


class StoryInstallation(RunningInstallation):
    """``python -m config.embedded`` as ``make demo`` starts it."""

    def command(self) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "config.embedded", "--state", str(self.state.root)], {
            "FLOTILLA_PORT": str(self.port),
            "FLOTILLA_DEMO_DEVICES": str(SIMULATED_DEVICES),
        }

    def said(self) -> str:
        """The logs, for a failure's message."""
        parts = [
            f"== {name}\n{(self.state.logs / name).read_text(errors='replace')[-3000:]}"
            for name in ("demo.log", "web.log", "worker-main.log", "worker-artifacts.log")
            if (self.state.logs / name).exists()
        ]
        return "\n".join(parts)


@dataclass(frozen=True)
class Told:
    """An installation whose story is over.

    Attributes:
        api: a client with the demo's token.
        neighbour: a client with the second organization's token.
        login: the contents of ``demo.json``.
    """

    installation: StoryInstallation
    api: httpx.Client
    neighbour: httpx.Client
    login: dict[str, str]

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.api.get(f"/api/v1/{path}", params=parameters)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.api.post(f"/api/v1/{path}", json=body or {})
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def step(self, key: str) -> dict[str, Any] | None:
        answer = self.api.get("/api/v1/tour/")
        if answer.status_code == 503:  # the story starts again, or the machine is busy
            return None
        answer.raise_for_status()
        return next((step for step in answer.json()["steps"] if step["key"] == key), None)

    def wait_for_step(self, key: str, *, deadline_s: float = STORY_DEADLINE_S) -> dict[str, Any]:
        """The step once it is done; a failed one fails the test at once."""

        def ended() -> dict[str, Any] | None:
            step = self.step(key)
            return step if step and step["state"] in {"done", "failed"} else None

        return self._checked(eventually_slowly(ended, deadline_s=deadline_s, said=self.installation.said))

    def _checked(self, step: dict[str, Any]) -> dict[str, Any]:
        assert step["state"] == "done", f"{step}\n{self.installation.said()}"
        return step


def eventually_slowly(condition: Callable[[], Any], *, deadline_s: float, said: Callable[[], str]) -> Any:
    """Wait until ``condition`` gives something true, asking seldom: every question costs the machine that works on it.
    A failure shows the logs.
    """
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {deadline_s} s\n{said()}"
        time.sleep(0.3)
    return value


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The installation with its whole story told."""
    # As root the database's own user must reach its folder.
    folder = tmp_path_factory.mktemp("story") / "a folder" / "state"
    folder.parent.mkdir()
    installation = StoryInstallation(folder)
    installation.start()
    try:
        login = installation.wait_until_ready(deadline_s=START_DEADLINE_S)
        neighbour = installation.state.secrets / "neighbour.json"
        with (
            _client(login["url"], login["api_token"]) as api,
            _client(login["url"], _json(neighbour.read_bytes())["api_token"]) as second,
        ):
            told = Told(installation, api, second, login)
            eventually_slowly(lambda: api.get("/api/v1/tour/").is_success, deadline_s=60, said=installation.said)
            for key in STEPS:
                told.wait_for_step(key)
            yield told
    finally:
        installation.end()


def _json(text: bytes) -> dict[str, str]:
    value: dict[str, str] = httpx.Response(200, content=text).json()
    return value


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False)
