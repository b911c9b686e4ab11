"""The upload door: tus 1.0 as its clients speak it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings

from common import clock
from common.bridge import bridge
from config.asgi import application
from governance.models import AuditEntry
from models_registry.errors import UploadIncompleteError
from models_registry.models import Artifact, Upload, UploadState
from models_registry.services import uploads
from models_registry.storage.base import key_for
from models_registry.storage.registry import default_store
from tests.factories.people import Person

pytestmark = pytest.mark.django_db(transaction=True)

TUS = {"Tus-Resumable": "1.0.0"}
MEGABYTE = 1_000_000


def metadata(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


class TusClient:
    def __init__(self, web: httpx.AsyncClient, person: Person) -> None:
        self.web = web
        self.headers = {**TUS, "Authorization": f"Bearer {person.token}"}

    async def create(self, length: int, **named: str) -> httpx.Response:
        headers = {
            **self.headers,
            "Upload-Length": str(length),
            "Upload-Metadata": metadata(**({"filename": "model.onnx"} | named)),
        }
        return await self.web.post("/api/v1/uploads/", headers=headers)

    async def begin(self, length: int, **named: str) -> str:
        answer = await self.create(length, **named)
        assert answer.status_code == 201, answer.text
        location = answer.headers["Location"]
        assert location.startswith("http://testserver/api/v1/uploads/")
        return str(location)

    async def send(self, location: str, offset: int, body: Any, **headers: str) -> httpx.Response:
        return await self.web.patch(
            location,
            content=body,
            headers={
                **self.headers,
                "Content-Type": "application/offset+octet-stream",
                "Upload-Offset": str(offset),
                **headers,
            },
        )

    async def offset(self, location: str) -> int:
        answer = await self.web.head(location, headers=self.headers)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        return int(answer.headers["Upload-Offset"])


@pytest.fixture
def tus(web: httpx.AsyncClient, operator: Person) -> TusClient:
    return TusClient(web, operator)


def one_upload(location: str) -> Upload:
    return Upload.objects.get(public_id=location.rsplit("/", 1)[1])


async def look(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await bridge.run(func, *args, **kwargs)


async def test_a_file_sent_in_three_pieces_becomes_one_artifact(tus: TusClient) -> None:
    body = os.urandom(3 * MEGABYTE + 17)
    location = await tus.begin(len(body))
    for start in range(0, len(body), MEGABYTE):
        answer = await tus.send(location, start, body[start : start + MEGABYTE])
        assert answer.status_code == 204
        assert int(answer.headers["Upload-Offset"]) == min(start + MEGABYTE, len(body))
        assert answer.headers["Tus-Resumable"] == "1.0.0"

    def check() -> None:
        upload = one_upload(location)
        assert upload.state == UploadState.COMPLETE
        assert upload.artifact is not None
        assert upload.artifact.sha256 == hashlib.sha256(body).hexdigest()
        assert upload.artifact.sha1 == hashlib.sha1(body, usedforsecurity=False).hexdigest()
        assert upload.artifact.size_bytes == len(body)
        with default_store().open_range(key_for(upload.artifact.sha256)) as reader:
            assert b"".join(reader) == body
        assert not uploads.upload_path(upload).exists()
        entry = AuditEntry.objects.get(action="upload.complete")
        assert entry.data["sha256"] == upload.artifact.sha256

    await look(check)
    assert await tus.offset(location) == len(body)


async def test_the_same_bytes_uploaded_twice_are_one_artifact(tus: TusClient) -> None:
    for _ in range(2):
        location = await tus.begin(5)
        assert (await tus.send(location, 0, b"hello")).status_code == 204
    assert await look(Artifact.objects.count) == 1


async def test_a_body_that_breaks_off_keeps_what_came_and_is_resumed_by_head(tus: TusClient) -> None:
    body = os.urandom(2 * MEGABYTE)
    location = await tus.begin(len(body))
    messages = [
        {"type": "http.request", "body": body[:MEGABYTE], "more_body": True},
        {"type": "http.request", "body": body[MEGABYTE : MEGABYTE + 500], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(_message: Any) -> None:
        return

    headers = {
        **tus.headers,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": "0",
        "Content-Length": str(len(body)),
        "Host": "testserver",
    }
    scope = {
        "type": "http",
        "method": "PATCH",
        "path": httpx.URL(location).path,
        "query_string": b"",
        "headers": [(key.lower().encode(), value.encode()) for key, value in headers.items()],
    }
    await application(scope, receive, send)

    assert await tus.offset(location) == MEGABYTE + 500
    assert await look(Artifact.objects.count) == 0
    answer = await tus.send(location, MEGABYTE + 500, body[MEGABYTE + 500 :])
    assert answer.status_code == 204
    assert (await look(Artifact.objects.get)).sha256 == hashlib.sha256(body).hexdigest()


async def test_a_process_that_died_after_writing_and_before_recording_is_resumed_from_the_record(
    tus: TusClient,
) -> None:
    body = os.urandom(MEGABYTE)
    location = await tus.begin(len(body))
    assert (await tus.send(location, 0, body[:1000])).status_code == 204
    path = uploads.upload_path(await look(one_upload, location))
    with path.open("ab") as file:
        file.write(b"bytes nobody acknowledged")
    assert await tus.offset(location) == 1000
    assert (await tus.send(location, 1000, body[1000:])).status_code == 204
    assert (await look(Artifact.objects.get)).sha256 == hashlib.sha256(body).hexdigest()


async def test_a_disk_that_lost_bytes_asks_for_them_again(tus: TusClient) -> None:
    body = os.urandom(5000)
    location = await tus.begin(len(body))
    assert (await tus.send(location, 0, body[:4000])).status_code == 204
    os.truncate(uploads.upload_path(await look(one_upload, location)), 1500)
    assert await tus.offset(location) == 1500
    assert (await tus.send(location, 4000, body[4000:])).status_code == 409
    assert (await tus.send(location, 1500, body[1500:])).status_code == 204
    assert (await look(Artifact.objects.get)).sha256 == hashlib.sha256(body).hexdigest()


async def test_a_process_that_died_before_the_artifact_is_finished_when_it_is_asked_for(
    tus: TusClient, operator: Person
) -> None:
    body = os.urandom(5000)
    location = await tus.begin(len(body))
    assert (await tus.send(location, 0, body[:-1])).status_code == 204

    def die_with_the_last_byte() -> None:
        upload = one_upload(location)
        with uploads.upload_path(upload).open("ab") as file:
            file.write(body[-1:])
        Upload.objects.filter(pk=upload.pk).update(offset_bytes=len(body))

    await look(die_with_the_last_byte)
    assert await tus.offset(location) == len(body)
    upload = await look(one_upload, location)
    artifact = await look(uploads.upload_artifact, caller=operator.caller, upload_id=upload.public_id)
    assert artifact.sha256 == hashlib.sha256(body).hexdigest()
    again = await look(uploads.upload_artifact, caller=operator.caller, upload_id=upload.public_id)
    assert again.pk == artifact.pk


async def test_a_truncated_upload_registers_nothing(tus: TusClient, operator: Person) -> None:
    location = await tus.begin(1000)
    assert (await tus.send(location, 0, b"x" * 999)).status_code == 204
    upload = await look(one_upload, location)
    with pytest.raises(UploadIncompleteError, match="999 of 1000"):
        await look(uploads.upload_artifact, caller=operator.caller, upload_id=upload.public_id)
    assert await look(Artifact.objects.count) == 0


async def test_a_wrong_offset_is_a_conflict_and_changes_nothing(tus: TusClient) -> None:
    location = await tus.begin(100)
    assert (await tus.send(location, 0, b"x" * 40)).status_code == 204
    for offset in (0, 39, 41, 100):
        answer = await tus.send(location, offset, b"y" * 10)
        assert answer.status_code == 409
        assert answer.json()["code"] == "models_registry.upload_offset"
    assert await tus.offset(location) == 40


async def test_more_bytes_than_announced_are_refused(tus: TusClient) -> None:
    location = await tus.begin(100)
    assert (await tus.send(location, 0, b"x" * 101)).status_code == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * MEGABYTE

    assert (await tus.send(location, 0, endless())).status_code == 413
    assert await tus.offset(location) == 0
    assert (await tus.send(location, 0, b"x" * 100)).status_code == 204


async def test_an_oversized_file_is_refused_before_its_first_byte(tus: TusClient) -> None:
    answer = await tus.create(django_settings.UPLOAD_MAX_BYTES + 1)
    assert answer.status_code == 413
    assert answer.headers["Tus-Max-Size"] == str(django_settings.UPLOAD_MAX_BYTES)
    assert answer.json()["code"] == "models_registry.upload_too_large"
    assert await look(Upload.objects.count) == 0


async def test_a_body_with_the_wrong_checksum_is_discarded_as_a_whole(tus: TusClient) -> None:
    body = os.urandom(2 * MEGABYTE)
    location = await tus.begin(len(body))
    right = "sha256 " + base64.b64encode(hashlib.sha256(body).digest()).decode()
    damaged = body[:-1] + bytes([body[-1] ^ 1])
    answer = await tus.send(location, 0, damaged, **{"Upload-Checksum": right})
    assert answer.status_code == 460
    assert await tus.offset(location) == 0
    answer = await tus.send(location, 0, body, **{"Upload-Checksum": right})
    assert answer.status_code == 204
    assert (await look(Artifact.objects.get)).sha256 == hashlib.sha256(body).hexdigest()


async def test_a_file_with_another_digest_than_announced_is_discarded(tus: TusClient) -> None:
    location = await tus.begin(5, sha256="0" * 64)
    answer = await tus.send(location, 0, b"hello")
    assert answer.status_code == 400
    assert answer.json()["code"] == "models_registry.content_mismatch"
    assert (await tus.web.head(location, headers=tus.headers)).status_code == 404
    assert await look(Artifact.objects.count) == 0


async def test_unfinished_uploads_are_bounded_per_organization(
    tus: TusClient, web: httpx.AsyncClient, outsider: Person
) -> None:
    locations = [await tus.begin(10) for _ in range(uploads.MAX_OPEN_UPLOADS)]
    answer = await tus.create(10)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert (await TusClient(web, outsider).create(10)).status_code == 201
    assert (await web.delete(locations[0], headers=tus.headers)).status_code == 204
    assert (await tus.create(10)).status_code == 201


async def test_a_deleted_upload_is_gone_with_its_bytes(tus: TusClient) -> None:
    location = await tus.begin(100)
    await tus.send(location, 0, b"x" * 50)
    path = uploads.upload_path(await look(one_upload, location))
    assert path.exists()
    assert (await tus.web.delete(location, headers=tus.headers)).status_code == 204
    assert not path.exists()
    assert (await tus.web.head(location, headers=tus.headers)).status_code == 404


async def test_an_upload_nobody_finished_expires_and_its_bytes_are_removed(tus: TusClient) -> None:
    location = await tus.begin(100)
    await tus.send(location, 0, b"x" * 50)
    path = uploads.upload_path(await look(one_upload, location))
    assert await look(uploads.uploads_expire) == 0
    with clock.advanced(uploads.UPLOAD_LIFETIME + timedelta(seconds=1)):
        assert (await tus.web.head(location, headers=tus.headers)).status_code == 404
        assert await look(uploads.uploads_expire) == 1
    assert not path.exists()
    with clock.advanced(uploads.UPLOAD_LIFETIME + uploads.KEPT_AFTER_END + timedelta(seconds=1)):
        await look(uploads.uploads_expire)
    assert await look(Upload.objects.count) == 0


async def test_an_upload_that_is_being_written_is_busy(tus: TusClient, operator: Person) -> None:
    location = await tus.begin(100)
    upload = await look(one_upload, location)
    writer = await look(uploads.UploadWriter, caller=operator.caller, upload_id=upload.public_id, offset_bytes=0)
    try:
        answer = await tus.send(location, 0, b"x")
        assert answer.status_code == 423
        assert answer.headers["Retry-After"]
    finally:
        await look(writer.close)
    assert (await tus.send(location, 0, b"x")).status_code == 204


async def test_another_organization_sees_no_upload(tus: TusClient, web: httpx.AsyncClient, outsider: Person) -> None:
    location = await tus.begin(100)
    stranger = TusClient(web, outsider)
    assert (await web.head(location, headers=stranger.headers)).status_code == 404
    assert (await stranger.send(location, 0, b"x")).status_code == 404
    assert (await web.delete(location, headers=stranger.headers)).status_code == 404


async def test_a_viewer_and_a_stranger_cannot_upload(web: httpx.AsyncClient, viewer: Person) -> None:
    assert (await TusClient(web, viewer).create(10)).status_code == 403
    answer = await web.post("/api/v1/uploads/", headers={**TUS, "Upload-Length": "10"})
    assert answer.status_code == 401
    assert answer.headers["Tus-Resumable"] == "1.0.0"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412),
        ({"Content-Type": "application/json"}, 415),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "ten"}, 400),
        ({"Upload-Checksum": "md5 abc"}, 400),
        ({"Upload-Checksum": "sha256 not-base64!"}, 400),
    ],
)
async def test_a_request_that_breaks_the_protocol_gets_a_clear_answer(
    tus: TusClient, headers: dict[str, str], status: int
) -> None:
    location = await tus.begin(10)
    answer = await tus.send(location, 0, b"x" * 10, **headers)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert await tus.offset(location) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Upload-Length": "0"},
        {"Upload-Length": "-5"},
        {"Upload-Length": "9" * 30},
        {"Upload-Length": ""},
        {"Upload-Length": "10", "Upload-Defer-Length": "1"},
        {"Upload-Length": "10", "Upload-Metadata": "filename not*base64"},
        {"Upload-Length": "10", "Upload-Metadata": "filename /w=="},
        {"Upload-Length": "10", "Upload-Metadata": metadata(filename="a\x00b")},
        {"Upload-Length": "10", "Upload-Metadata": metadata(filename="x" * 300)},
        {"Upload-Length": "10", "Upload-Metadata": metadata(filename="x", sha256="abc")},
    ],
)
async def test_a_creation_that_cannot_be_understood_makes_nothing(tus: TusClient, headers: dict[str, str]) -> None:
    answer = await tus.web.post("/api/v1/uploads/", headers={**tus.headers, **headers})
    assert answer.status_code == 400
    assert answer.json()["fields"]
    assert await look(Upload.objects.count) == 0


async def test_folders_in_a_file_name_are_dropped(tus: TusClient) -> None:
    location = await tus.begin(10, filename="../../etc/passwd")
    assert (await look(one_upload, location)).filename == "passwd"


async def test_the_door_says_what_it_can_do(web: httpx.AsyncClient) -> None:
    answer = await web.request("OPTIONS", "/api/v1/uploads/")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {"creation", "expiration", "checksum", "termination"}
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256"
