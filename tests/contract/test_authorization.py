"""Who may come where, for every address there is. A new endpoint is tested here the moment it has an address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.db import connections
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from common.clock import now
from common.errors import DomainError
from common.pool import close_pool
from config import gateway
from fleet.services.access import access_token_encode
from fleet.types import DeviceCaller
from models_registry.api.raw import raw_routes
from telemetry.consumers import LiveConsumer
from tests.contract.surface import API, NAME, Endpoint, World, endpoints, routes, world_make
from tests.factories.fleet import device_make
from tests.factories.people import Person, organization_make

# Exceptions; these lists only shrink.
OPEN_TO_NOBODY_IN_PARTICULAR = {("POST", "session/"), ("DELETE", "session/")}
OPEN_TO_VIEWERS = {("POST", "session/"), ("DELETE", "session/"), ("POST", "rollouts/preview/")}  # writes nothing
OPEN_DEVICE_DOORS = {
    ("GET", "/healthz"),
    ("POST", "/{tenant}/agent/v1/enrol"),
    ("POST", "/{tenant}/agent/v1/token"),
}

# A body that would do for most things, so that a refusal is about who asks and not about what was sent.
BODY: dict[str, Any] = {
    "reason": "because",
    "name": "n",
    "threshold": 0.2,
    "until": "2099-01-01T00:00:00Z",
    "upload": "01900000-0000-7000-8000-000000000000",
}


def ask(person: Person, endpoint: Endpoint, address: str) -> Any:
    call = getattr(person, endpoint.method.lower())
    return call(address) if endpoint.is_safe else call(address, BODY)


def shows(answer: Any, world: World) -> set[str]:
    """What of the world an answer shows."""
    text = answer.content.decode()
    return {text_id for text_id in world.all_ids if text_id in text} | ({NAME} if NAME in text else set())


def test_every_endpoint_with_an_object_has_a_sample(world: World) -> None:
    for endpoint in endpoints():
        if "{id}" in endpoint.path:
            assert endpoint.resource in world.ids, f"surface.world_make makes nothing for {endpoint}"


def test_the_owner_sees_the_world(owner: Person, world: World) -> None:
    """Otherwise the outsider's seeing nothing would prove nothing."""
    for endpoint in endpoints():
        if endpoint.is_list or (endpoint.is_safe and endpoint.path.endswith("{id}/")):
            answer = ask(owner, endpoint, world.address(endpoint))
            assert answer.status_code == 200, f"{endpoint}: {answer.content}"
            if endpoint.resource != "people":
                assert shows(answer, world), f"{endpoint} shows nothing"


def test_without_credentials_every_endpoint_is_a_401(anonymous: Person, world: World) -> None:
    for endpoint in endpoints():
        if (endpoint.method, endpoint.path) in OPEN_TO_NOBODY_IN_PARTICULAR:
            continue
        answer = ask(anonymous, endpoint, world.address(endpoint))
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated"), str(endpoint)


def test_a_viewer_changes_nothing(viewer: Person, world: World) -> None:
    for endpoint in endpoints():
        if endpoint.is_safe or (endpoint.method, endpoint.path) in OPEN_TO_VIEWERS:
            continue
        answer = ask(viewer, endpoint, world.address(endpoint))
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted"), str(endpoint)


def test_what_is_administrators_is_closed_to_operators(operator: Person, world: World) -> None:
    closed = {
        endpoint.path for endpoint in endpoints() if ask(operator, endpoint, world.address(endpoint)).status_code == 403
    }
    assert {"api-tokens/", "audit/", "versions/{id}/approve/", "versions/{id}/decline/"} <= closed


def test_to_an_outsider_every_object_does_not_exist(outsider: Person, world: World) -> None:
    for endpoint in endpoints():
        if endpoint.has_parameter:
            answer = ask(outsider, endpoint, world.address(endpoint))
            assert answer.status_code == 404, f"{endpoint}: {answer.status_code} {answer.content}"
            assert not shows(answer, world), str(endpoint)


def test_an_outsider_sees_nothing_of_it_in_anything_else(outsider: Person, world: World) -> None:
    version, rollout, device = (world.ids[resource] for resource in ("versions", "rollouts", "devices"))
    queries = {
        "drift/": [f"?model={NAME}-1&version=1.0.0"],
        "drift/cell/": [f"?version_id={version}&region=r&feature=brightness"],
        "deployments/": [f"?rollout={rollout}", f"?device={device}"],
    }
    for endpoint in endpoints():
        if not endpoint.is_safe or endpoint.has_parameter:
            continue
        for query in ["", *queries.get(endpoint.path, [])]:
            answer = ask(outsider, endpoint, world.address(endpoint) + query)
            # A bearer token is no session, so there 401 is the answer to everybody who sends one.
            expected = {401} if endpoint.path == "session/" else {200, 400, 404}
            assert answer.status_code in expected, f"{endpoint}{query}: {answer.content}"
            assert not shows(answer, world), f"{endpoint}{query}: {answer.content}"


def test_an_outsider_makes_nothing_out_of_it(outsider: Person, world: World) -> None:
    ids = {resource: str(public_id) for resource, public_id in world.ids.items()}
    model = f"{NAME}-1"
    attempts: dict[str, dict[str, Any]] = {
        "versions/": {"model": model, "version": "2", "upload": ids["uploads"], "parent": ids["versions"]},
        "rollouts/": {"name": "n", "version": ids["versions"], "strategy": "all_at_once", "selector": {}, "policy": {}},
        "rollouts/preview/": {"version": ids["versions"], "strategy": "all_at_once", "selector": {}, "policy": {}},
    }
    known = {endpoint.path for endpoint in endpoints() if endpoint.method == "POST"}
    for path, body in attempts.items():
        assert path in known
        answer = outsider.post(API + path, body)
        assert answer.status_code in {400, 404}, f"{path}: {answer.content}"
        # The answer may quote what the outsider sent, and nothing more.
        assert not shows(answer, world) - {NAME, *ids.values()}, path


# --- Raw doors ------------------------------------------------------------------------------------
@pytest.fixture
async def uploads(transactional_db: None) -> AsyncIterator[httpx.AsyncClient]:
    """The upload door, with the translators it has in the server."""
    application = Starlette(
        routes=raw_routes,
        exception_handlers={DomainError: gateway.domain_error, HTTPException: gateway.http_error},
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://testserver", headers={"Tus-Resumable": "1.0.0"}
    ) as client:
        yield client
    await sync_to_async(connections.close_all)()


async def test_the_upload_door_is_closed_to_whom_it_does_not_concern(
    uploads: httpx.AsyncClient, viewer: Person, outsider: Person
) -> None:
    world = await sync_to_async(world_make)(viewer.organization)
    for method, path in routes(raw_routes):
        if method == "OPTIONS":  # tells the protocol's version to everybody
            continue
        address = path.replace("{upload_id:uuid}", str(world.ids["uploads"]))
        headers = {
            "Upload-Length": "1",
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
        }

        async def status(extra: dict[str, str], method: str = method, address: str = address) -> int:
            return (await uploads.request(method, address, headers=extra)).status_code

        assert await status(headers) == 401, f"{method} {path}"
        if method != "HEAD":
            assert await status(headers | {"Authorization": f"Bearer {viewer.token}"}) == 403, f"{method} {path}"
        if "{" in path:
            assert await status(headers | {"Authorization": f"Bearer {outsider.token}"}) == 404, f"{method} {path}"


# --- Device doors ---------------------------------------------------------------------------------
async def test_every_device_door_is_closed_to_all_but_the_device_it_names(
    organization: Any, transactional_db: None
) -> None:
    device = await sync_to_async(device_make)(organization, controller_id="cam-1")
    sister = await sync_to_async(device_make)(organization, controller_id="cam-2")
    stranger = await sync_to_async(lambda: device_make(organization_make("other"), controller_id="cam-1"))()

    def token(who: Any, tenant: str) -> dict[str, str]:
        caller = DeviceCaller(who.organization_id, who.pk, who.controller_id, tenant)
        return {"Authorization": f"Bearer {access_token_encode(caller, generation=1).text}"}

    wrong: dict[str, dict[str, str]] = {
        "nobody": {},
        "noise": {"Authorization": "Bearer x"},
        "sister": token(sister, "acme"),
        "stranger": token(stranger, "other"),
    }
    values = {"tenant": "acme", "cid": "cam-1", "number": "1", "module": "1", "file": "root.json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway.doors), base_url="http://testserver") as client:
        for method, path in routes(gateway.doors.routes):
            if (method, path) in OPEN_DEVICE_DOORS:
                continue
            for who, headers in wrong.items():
                answer = await client.request(method, path.format(**values), headers=headers, content=b"{}")
                assert answer.status_code == 401, f"{method} {path} as {who}: {answer.status_code}"
            own = await client.request(method, path.format(**values), headers=token(device, "acme"), content=b"{}")
            assert own.status_code != 401, f"{method} {path} refuses its own device"
    await close_pool()
    await sync_to_async(connections.close_all)()


# --- The socket -----------------------------------------------------------------------------------
async def test_the_socket_says_nothing_without_credentials_and_nothing_of_others(
    viewer: Person, outsider: Person, transactional_db: None
) -> None:
    world = await sync_to_async(world_make)(viewer.organization)
    device, rollout = world.ids["devices"], world.ids["rollouts"]

    async def first_words(headers: list[tuple[bytes, bytes]]) -> tuple[ApplicationCommunicator, dict[str, Any]]:
        scope = {"type": "websocket", "path": "/ws/live/", "query_string": b"", "headers": headers, "subprotocols": []}
        socket = ApplicationCommunicator(LiveConsumer.as_asgi(), scope)
        await socket.send_input({"type": "websocket.connect"})
        assert (await socket.receive_output(timeout=10))["type"] == "websocket.accept"
        return socket, await socket.receive_output(timeout=10)

    _, closing = await first_words([])
    assert (closing["type"], closing["code"]) == ("websocket.close", 4401)

    for person, expected in ((outsider, "refused"), (viewer, "subscribed")):
        socket, _ = await first_words([(b"authorization", f"Bearer {person.token}".encode())])
        for topic in (f"device:{device}", f"rollout:{rollout}"):
            text = json.dumps({"type": "subscribe", "topics": [topic]})
            await socket.send_input({"type": "websocket.receive", "text": text})
            said = await answer_to(socket, topic)
            assert said["type"] == expected, topic
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait(timeout=10)
    await sync_to_async(connections.close_all)()


async def answer_to(socket: ApplicationCommunicator, topic: str) -> dict[str, Any]:
    """What the socket says to a subscription; beats and frames between are passed over."""
    deadline = now() + timedelta(seconds=10)
    while now() < deadline:
        said: dict[str, Any] = json.loads((await socket.receive_output(timeout=10))["text"])
        if said.get("topic") == topic:
            return said
    raise AssertionError(f"no answer to {topic}")
