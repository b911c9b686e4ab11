"""The story's client of the operators' API: patient with a server that is away, plain about a refusal."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo import client as demo_client
from demo.client import Api, ApiError


@dataclass
class Plane:
    """A control plane as small as it gets."""

    sites: list[str] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    away: int = 0
    requests: int = 0

    async def answer(self, request: Request) -> Response:
        self.requests += 1
        assert request.headers["Authorization"] == "Bearer secret"
        if self.away:
            self.away -= 1
            return JSONResponse({"code": "unavailable"}, status_code=503, headers={"Retry-After": "1"})
        if request.url.path.startswith("/api/v1/uploads/"):
            return await self._upload(request)
        return await self._sites(request)

    async def _sites(self, request: Request) -> Response:
        if request.method == "POST":
            name = (await request.json())["name"]
            if name in self.sites:
                body = {"code": "fleet.name_taken", "message": "There is one.", "fields": {"name": "taken"}}
                return JSONResponse(body, status_code=409)
            self.sites.append(name)
            return JSONResponse({"name": name}, status_code=201)
        start = int(request.query_params.get("cursor", 0))
        following = f"http://plane/api/v1/sites/?cursor={start + 2}" if start + 2 < len(self.sites) else None
        page = [{"name": name} for name in self.sites[start : start + 2]]
        return JSONResponse({"results": page, "next": following, "previous": None})

    async def _upload(self, request: Request) -> Response:
        assert request.headers["Tus-Resumable"] == "1.0.0"
        if request.method == "POST":
            assert base64.b64decode(request.headers["Upload-Metadata"].split()[1]) == b"model.onnx"
            return Response(status_code=201, headers={"Location": "http://plane/api/v1/uploads/7"})
        body = await request.body()
        digest = base64.b64decode(request.headers["Upload-Checksum"].split()[1])
        assert digest == hashlib.sha256(body).digest()
        self.uploads[request.url.path.rpartition("/")[2]] = body
        return Response(status_code=204)


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
async def api(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(demo_client, "_PAUSE_S", 0.0)
    route = Route("/{path:path}", plane.answer, methods=["GET", "POST", "PATCH"])
    http = httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=[route])))
    made = Api("http://plane", "secret", http)
    yield made
    await made.close()


async def test_all_pages_are_read(api: Api, plane: Plane) -> None:
    plane.sites = ["a", "b", "c", "d", "e"]
    assert [site["name"] async for site in api.pages("sites/")] == plane.sites


async def test_what_exists_is_not_made_again(api: Api, plane: Plane) -> None:
    for _ in range(2):
        assert (await api.find_or_create("sites/", {"name": "Oslo"}))["name"] == "Oslo"
    assert plane.sites == ["Oslo"]


async def test_a_server_that_is_away_is_waited_for(api: Api, plane: Plane) -> None:
    plane.away = 3
    assert (await api.post("sites/", {"name": "Oslo"}))["name"] == "Oslo"
    assert plane.requests == 4


async def test_a_server_that_stays_away_is_given_up(api: Api, plane: Plane) -> None:
    plane.away = 10_000
    with pytest.raises(ApiError) as refused:
        await api.get("sites/")
    assert refused.value.status == 503
    assert plane.requests < 100


async def test_a_refusal_is_said_with_its_code_and_fields(api: Api, plane: Plane) -> None:
    plane.sites = ["Oslo"]
    with pytest.raises(ApiError, match=r"There is one\. name: taken") as refused:
        await api.post("sites/", {"name": "Oslo"})
    assert (refused.value.status, refused.value.code) == (409, "fleet.name_taken")
    assert plane.requests == 1


async def test_a_file_is_uploaded_with_its_digest(api: Api, plane: Plane, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"bytes of a model")
    assert await api.upload(path) == "7"
    assert plane.uploads == {"7": b"bytes of a model"}
