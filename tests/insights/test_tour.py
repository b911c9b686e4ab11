"""The demo's story behind its door: asked for with patience that ends, told to one organization."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django import Settings

from governance.models import AuditEntry
from insights import tour as tour_module
from tests.factories.people import Person

STEPS = [{"key": "join", "title": "63 devices join", "state": "done", "text": "", "at": None, "link": "/devices"}]
SECRET = "s" * 32
ACTIONS = [
    {"key": "bad_model", "title": "Ship a bad model again", "is_available": True, "text": ""},
    {"key": "drift", "title": "Drift a region", "is_available": False, "text": "Not before 1.0 is out."},
]


class Story(ThreadingHTTPServer):
    """Stands in for the demo's story: answers what the test says, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: Any = {"organization": "acme", "steps": STEPS, "actions": ACTIONS}
        self.status = 200
        self.asked: list[str] = []
        self.secrets: set[str] = set()
        self.silence = threading.Event()
        self.is_silent = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Story

    def do_GET(self) -> None:
        self._answer(200 if self.server.status < 400 else self.server.status)

    def do_POST(self) -> None:
        self._answer(200 if self.path == "/tour" else self.server.status)

    def _answer(self, status: int) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.secrets.add(self.headers.get("X-Demo-Secret", ""))
        if self.server.is_silent:
            self.server.silence.wait(30)
        body = self.server.told if isinstance(self.server.told, bytes) else json.dumps(self.server.told).encode()
        self.send_response(status if self.command == "POST" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@pytest.fixture
def story(settings: Settings) -> Iterator[Story]:
    server = Story()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings.DEMO_CONTROL_URL = server.url
    settings.DEMO_CONTROL_SECRET = SECRET
    yield server
    server.silence.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_story_is_told_to_its_organization(viewer: Person, story: Story) -> None:
    answer = viewer.get("/api/v1/tour/")

    assert answer.status_code == 200
    assert answer.json() == {"steps": STEPS, "actions": ACTIONS}
    assert story.secrets == {SECRET}


def test_for_every_other_organization_there_is_none(outsider: Person, story: Story) -> None:
    assert outsider.get("/api/v1/tour/").status_code == 404
    assert outsider.post("/api/v1/tour/actions/bad_model/").status_code == 404
    assert "POST /actions/bad_model" not in story.asked


def test_without_a_demo_there_is_none(operator: Person) -> None:
    assert operator.get("/api/v1/tour/").json()["code"] == "insights.no_tour"
    assert operator.post("/api/v1/tour/actions/bad_model/").status_code == 404


def test_an_operator_asks_for_an_action_and_it_is_written_down(operator: Person, viewer: Person, story: Story) -> None:
    assert viewer.post("/api/v1/tour/actions/bad_model/").status_code == 403
    assert operator.post("/api/v1/tour/actions/bad_model/").status_code == 202
    assert operator.post("/api/v1/tour/actions/format_disk/").status_code == 404

    assert [line for line in story.asked if line.startswith("POST")] == ["POST /actions/bad_model"]
    assert AuditEntry.objects.get(action="tour.act").object_id == "bad_model"


def test_an_action_out_of_its_time_is_a_conflict(operator: Person, story: Story) -> None:
    story.status = 409

    answer = operator.post("/api/v1/tour/actions/drift/")

    assert (answer.status_code, answer.json()["code"]) == (409, "insights.tour_action_refused")
    assert answer.json()["message"] == "Not before 1.0 is out."
    assert not AuditEntry.objects.filter(action="tour.act").exists()


@pytest.mark.parametrize(
    "told",
    [b"", b"<html>", b"[]", {"organization": "acme"}, {"organization": "acme", "steps": [{"key": 1}], "actions": []}],
)
def test_a_story_that_makes_no_sense_is_a_503(viewer: Person, story: Story, told: Any) -> None:
    story.told = told

    answer = viewer.get("/api/v1/tour/")

    assert (answer.status_code, answer.json()["code"]) == (503, "insights.tour_unavailable")
    assert answer["Retry-After"]


def test_a_story_without_end_is_a_503(viewer: Person, story: Story) -> None:
    story.told = b" " * 1_000_000

    assert viewer.get("/api/v1/tour/").status_code == 503


def test_a_story_that_is_silent_or_gone_is_a_503(
    viewer: Person, story: Story, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tour_module, "_TIMEOUT", 0.2)
    story.is_silent = True
    assert viewer.get("/api/v1/tour/").status_code == 503

    settings.DEMO_CONTROL_URL = "http://127.0.0.1:9"
    assert viewer.get("/api/v1/tour/").status_code == 503
