"""The tour's door: who may come in, what it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from demo.tour import MAX_STEPS, MAX_TEXT, Action, Tour, application

SECRET = "a-secret-the-supervisor-made"


@pytest.fixture
def tour() -> Tour:
    told = Tour(tenant="demo")
    told.step("join", "63 devices join").become("done", "All are here", link="/")
    told.step("first", "1.0.0 goes to every device")
    return told


@pytest.fixture
async def client(tour: Tour) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(tour, SECRET))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://story", headers={"X-Demo-Secret": SECRET}
    ) as made:
        yield made


def _action(pressed: list[str], reason: str | None = None) -> Action:
    async def perform() -> None:
        pressed.append("cut_site")

    return Action("cut_site", lambda: "Cut a site", "For a minute", lambda: reason, perform)


async def test_it_tells_the_steps_and_for_which_organization(client: httpx.AsyncClient) -> None:
    told = (await client.get("/tour")).json()
    assert told["organization"] == "demo"
    assert [(step["key"], step["state"]) for step in told["steps"]] == [("join", "done"), ("first", "waiting")]
    assert told["steps"][0]["link"] == "/"
    assert datetime.fromisoformat(told["steps"][0]["at"]).tzinfo is not None
    assert told["steps"][1]["at"] is None


@pytest.mark.parametrize("secret", ["", "guessed", SECRET + "x"])
async def test_without_the_secret_nobody_reads_or_presses(tour: Tour, client: httpx.AsyncClient, secret: str) -> None:
    pressed: list[str] = []
    tour.actions = [_action(pressed)]
    client.headers["X-Demo-Secret"] = secret
    assert (await client.get("/tour")).status_code == 403
    assert (await client.post("/actions/cut_site")).status_code == 403
    assert pressed == []


async def test_a_button_is_pressed(tour: Tour, client: httpx.AsyncClient) -> None:
    pressed: list[str] = []
    tour.actions = [_action(pressed)]
    assert (await client.get("/tour")).json()["actions"] == [
        {"key": "cut_site", "title": "Cut a site", "is_available": True, "text": "For a minute"}
    ]
    assert (await client.post("/actions/cut_site")).status_code == 202
    assert pressed == ["cut_site"]


async def test_a_button_that_cannot_be_pressed_says_why(tour: Tour, client: httpx.AsyncClient) -> None:
    pressed: list[str] = []
    tour.actions = [_action(pressed, "It is cut already")]
    told = (await client.get("/tour")).json()["actions"][0]
    assert (told["is_available"], told["text"]) == (False, "It is cut already")
    refused = await client.post("/actions/cut_site")
    assert refused.status_code == 409
    assert refused.json()["message"] == "It is cut already"
    assert pressed == []


async def test_there_is_no_other_button(client: httpx.AsyncClient) -> None:
    assert (await client.post("/actions/reset_everything")).status_code == 404
    assert (await client.get("/actions/cut_site")).status_code == 405


def test_the_time_of_a_step_is_when_its_state_changed() -> None:
    step = Tour(tenant="demo").step("first", "First")
    step.become("running", "wave 1")
    began = step.at
    step.become("running", "wave 2")
    assert step.at == began
    finished = datetime(2026, 1, 1, tzinfo=UTC)
    step.become("done", "over", at=finished)
    assert step.at == finished


def test_steps_and_texts_are_bounded_and_the_story_itself_stays() -> None:
    tour = Tour(tenant="demo")
    for key in ("join", "publish", "first", "better", "bad", "drift"):
        tour.step(key, key)
    for number in range(200):
        tour.step(f"bad-1.2.{number}", "again").become("done", "x" * 2000)
    assert len(tour.steps) <= MAX_STEPS
    assert [step.key for step in tour.steps[:6]] == ["join", "publish", "first", "better", "bad", "drift"]
    assert tour.steps[-1].key == "bad-1.2.199"
    assert len(tour.body()["steps"][-1]["text"]) == MAX_TEXT
