"""The live socket as a browser sees it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
import websockets
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.test import Client

from common import live
from config.asgi import application
from governance.models import Membership, Organization, User
from telemetry import consumers
from tests.factories.people import Person
from tests.factories.telemetry import Sender, health_make, sender_make
from tests.server import Server

DEADLINE_S = 10.0
ORIGIN = b"http://testserver"

pytestmark = pytest.mark.usefixtures("committed")


class Browser:
    """One socket. ``message`` is the next thing the server says; a close is ``{"close": code}``."""

    def __init__(self, **headers: bytes) -> None:
        self._communicator = ApplicationCommunicator(
            application,
            {
                "type": "websocket",
                "path": "/ws/live/",
                "raw_path": b"/ws/live/",
                "query_string": b"",
                "headers": [(b"host", b"testserver"), *((name.encode(), value) for name, value in headers.items())],
                "subprotocols": [],
            },
        )

    async def open(self) -> None:
        await self._communicator.send_input({"type": "websocket.connect"})
        assert (await self._communicator.receive_output(DEADLINE_S))["type"] == "websocket.accept"

    async def say(self, message: Any) -> None:
        text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
        await self._communicator.send_input({"type": "websocket.receive", "text": text})

    async def message(self) -> dict[str, Any]:
        event = await self._communicator.receive_output(DEADLINE_S)
        if event["type"] == "websocket.close":
            return {"close": event["code"]}
        decoded: dict[str, Any] = msgspec.json.decode(event["text"])
        return decoded

    async def follow(self, *topics: str) -> list[str]:
        """Subscribe; answers what the server said to each topic."""
        await self.say({"type": "subscribe", "topics": topics})
        return [(await self.message())["type"] for _ in topics]

    async def close(self) -> None:
        await self._communicator.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._communicator.wait(DEADLINE_S)


Open = Callable[..., Any]


@pytest.fixture
async def browse() -> AsyncIterator[Open]:
    """Opens a browser for a person (by token), or with the given headers; closed at the end."""
    opened: list[Browser] = []

    async def open_one(person: Person | None = None, **headers: bytes) -> Browser:
        if person is not None:
            headers |= {"authorization": f"Bearer {person.token}".encode(), "origin": ORIGIN}
        browser = Browser(**headers)
        await browser.open()
        opened.append(browser)
        return browser

    yield open_one
    for browser in opened:
        with contextlib.suppress(Exception):
            await browser.close()


def _session_cookie(person: Person) -> bytes:
    client = Client()
    client.force_login(User.objects.get(pk=person.caller.user_id))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()


def _publish(organization: Organization, topic: str, **parts: Any) -> None:
    values: dict[str, Any] = {"kind": "device.changed", "id": "d1", "data": {}} | parts
    live.publish(organization_id=organization.pk, topic=topic, **values)


async def test_a_change_reaches_the_browsers_that_follow_its_topic(
    browse: Open, viewer: Person, organization: Organization
) -> None:
    browser = await browse(viewer)
    assert await browser.message() == {"type": "hello", "revision": 1}
    assert await browser.follow("devices", "alerts") == ["subscribed", "subscribed"]
    _publish(organization, "rollouts", id="not followed")
    _publish(organization, "devices", data={"state": "accepted"})
    frame = await browser.message()
    assert frame["type"] == "frame"
    assert frame["changes"] == [
        {"topic": "devices", "kind": "device.changed", "id": "d1", "data": {"state": "accepted"}}
    ]
    assert frame["at"]


async def test_nothing_is_heard_of_another_organization(
    browse: Open, viewer: Person, outsider: Person, organization: Organization, other_organization: Organization
) -> None:
    mine, theirs = await browse(viewer), await browse(outsider)
    for browser in (mine, theirs):
        await browser.message()
        assert await browser.follow("devices") == ["subscribed"]
    _publish(organization, "devices", id="mine")
    _publish(other_organization, "devices", id="theirs")
    assert [one["id"] for one in (await mine.message())["changes"]] == ["mine"]
    assert [one["id"] for one in (await theirs.message())["changes"]] == ["theirs"]


async def test_topics_one_may_not_see_are_refused(
    browse: Open, viewer: Person, other_organization: Organization, sender: Sender
) -> None:
    neighbour = await sync_to_async(sender_make)(other_organization)
    browser = await browse(viewer)
    await browser.message()
    answers = await browser.follow(
        f"device:{sender.device.public_id}",
        f"device:{neighbour.device.public_id}",
        f"device:{uuid4()}",
        "device:",
        "device:not-an-id",
        "nonsense",
        "1:devices",
    )
    assert answers == ["subscribed", *["refused"] * 6]


async def test_what_is_unsubscribed_is_heard_no_more(browse: Open, viewer: Person, organization: Organization) -> None:
    browser = await browse(viewer)
    await browser.message()
    await browser.follow("devices", "rollouts")
    await browser.say({"type": "unsubscribe", "topics": ["devices"]})
    assert await browser.follow("jobs") == ["subscribed"]  # said in order, so the one before has been heard
    _publish(organization, "devices", id="gone")
    _publish(organization, "rollouts", id="kept")
    assert [one["id"] for one in (await browser.message())["changes"]] == ["kept"]


async def test_an_open_device_page_sees_its_newest_values(
    browse: Open, viewer: Person, sender: Sender, door: httpx.AsyncClient
) -> None:
    await door.post(sender.path, content=sender.body(), headers=sender.headers)  # ingest runs and listens
    await asyncio.to_thread(live.hub.wait_ready, DEADLINE_S)
    browser = await browse(viewer)
    await browser.message()
    assert await browser.follow(f"device:{sender.device.public_id}") == ["subscribed"]
    sending = True

    async def report() -> None:
        # Ingest learns over the bus that somebody looks; a device reports every few seconds anyway.
        while sending:
            body = sender.body(health=health_make(1, cpu_ratio=[0.5]))
            assert (await door.post(sender.path, content=body, headers=sender.headers)).status_code == 200
            await asyncio.sleep(0.02)

    reporting = asyncio.create_task(report())
    changes: list[dict[str, Any]] = []
    while "device.health" not in {change["kind"] for change in changes}:
        changes += (await browser.message()).get("changes", [])
    sending = False
    await reporting
    [data] = [change["data"] for change in changes if change["kind"] == "device.health"][:1]
    assert data["health"]["cpu_ratio"] == 0.5
    assert data["health_at"]


class TestWhoMayOpenIt:
    async def test_nobody_is_4401(self, browse: Open, committed: None) -> None:
        assert await (await browse()).message() == {"close": 4401}
        assert await (await browse(authorization=b"Bearer flt_wrong")).message() == {"close": 4401}
        assert await (await browse(cookie=b"flotilla_session_80=forged", origin=ORIGIN)).message() == {"close": 4401}

    async def test_a_signed_in_browser_is_let_in_from_our_own_origin_only(self, browse: Open, viewer: Person) -> None:
        cookie = await sync_to_async(_session_cookie)(viewer)
        assert (await (await browse(cookie=cookie, origin=ORIGIN)).message())["type"] == "hello"
        assert await (await browse(cookie=cookie, origin=b"https://evil.example")).message() == {"close": 4403}
        assert await (await browse(cookie=cookie)).message() == {"close": 4403}
        token = f"Bearer {viewer.token}".encode()
        assert await (await browse(authorization=token, origin=b"https://evil.example")).message() == {"close": 4403}

    async def test_who_loses_the_right_is_closed_within_seconds(
        self, browse: Open, viewer: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consumers, "RECHECK_S", 0.05)
        cookie = await sync_to_async(_session_cookie)(viewer)
        browser = await browse(cookie=cookie, origin=ORIGIN)
        assert (await browser.message())["type"] == "hello"
        await sync_to_async(User.objects.filter(pk=viewer.caller.user_id).update)(is_active=False)
        assert await browser.message() == {"close": 4401}

    async def test_who_leaves_the_organization_is_closed_too(
        self, browse: Open, viewer: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consumers, "RECHECK_S", 0.05)
        cookie = await sync_to_async(_session_cookie)(viewer)
        browser = await browse(cookie=cookie, origin=ORIGIN)
        assert (await browser.message())["type"] == "hello"
        await sync_to_async(Membership.objects.filter(user_id=viewer.caller.user_id).delete)()
        assert await browser.message() == {"close": 4403}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("not json", 1003),
        ('{"type": "dance"}', 1003),
        ('{"type": "subscribe", "topics": "devices"}', 1003),
        ("[]", 1003),
        ("x" * 20_000, 1009),
    ],
)
async def test_what_is_no_message_ends_the_socket(browse: Open, viewer: Person, said: str, code: int) -> None:
    browser = await browse(viewer)
    await browser.message()
    await browser.say(said)
    assert await browser.message() == {"close": code}


async def test_topics_of_one_socket_are_bounded(browse: Open, viewer: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "TOPICS_MAX", 2)
    browser = await browse(viewer)
    await browser.message()
    assert await browser.follow("devices", "alerts", "jobs") == ["subscribed", "subscribed", "refused"]


async def test_a_quiet_socket_beats(browse: Open, viewer: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "BEAT_S", 0.05)
    browser = await browse(viewer)
    assert (await browser.message())["type"] == "hello"
    assert await browser.message() == {"type": "beat"}
    assert await browser.message() == {"type": "beat"}


async def test_a_stalled_browser_delays_nobody_and_learns_of_its_gap(
    server: Server, viewer: Person, organization: Organization
) -> None:
    address = server.url.replace("http", "ws", 1) + "/ws/live/"
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    narrow.connect(("127.0.0.1", server.port))
    plain: dict[str, Any] = {
        "additional_headers": {"Authorization": f"Bearer {viewer.token}"},
        "compression": None,
        "max_size": None,
    }
    async with (
        websockets.connect(address, **plain, sock=narrow, max_queue=1) as stalled,
        websockets.connect(address, **plain) as brisk,
    ):
        for browser in (stalled, brisk):
            await browser.send('{"type": "subscribe", "topics": ["devices"]}')
            assert '"hello"' in str(await browser.recv())
            assert '"subscribed"' in str(await browser.recv())
        # 8.4 MB, more than the kernel holds for a reader that does not read; then more things than may lie unread.
        for prefix, count, data in (("heavy", 1_200, {"text": "x" * 7_000}), ("light", 1_200, {})):
            wanted = {f"{prefix}{number}" for number in range(count)}
            for start in range(0, count, 200):
                part = {f"{prefix}{number}" for number in range(start, start + 200)}
                for identifier in sorted(part):
                    _publish(organization, "devices", id=identifier, data=data)
                async with asyncio.timeout(DEADLINE_S):
                    while wanted & part:
                        message = msgspec.json.decode(await brisk.recv())
                        assert message["type"] != "gap"
                        wanted -= {change["id"] for change in message.get("changes", [])}
        async with asyncio.timeout(DEADLINE_S):
            while msgspec.json.decode(await stalled.recv())["type"] != "gap":
                pass
