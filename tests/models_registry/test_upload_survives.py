"""A server that dies in the middle of an upload: the client asks with HEAD and goes on."""

from __future__ import annotations

import hashlib
import os
import socket
import time

import httpx
import pytest

from models_registry.models import Artifact, Upload
from tests.factories.people import Person
from tests.server import Server

SIZE_BYTES = 24 << 20
SENT_BYTES = 20 << 20


@pytest.mark.django_db(transaction=True)
def test_an_upload_goes_on_after_kill_9(server: Server, operator: Person) -> None:
    body = os.urandom(SIZE_BYTES)
    headers = {"Authorization": f"Bearer {operator.token}", "Tus-Resumable": "1.0.0"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30) as client:
        created = client.post("/api/v1/uploads/", headers={"Upload-Length": str(SIZE_BYTES)})
        location = created.headers["Location"]
        path = httpx.URL(location).path
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            lines = [
                f"PATCH {path} HTTP/1.1",
                f"Host: 127.0.0.1:{server.port}",
                f"Authorization: Bearer {operator.token}",
                "Tus-Resumable: 1.0.0",
                "Content-Type: application/offset+octet-stream",
                "Upload-Offset: 0",
                f"Content-Length: {SIZE_BYTES}",
            ]
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body[:SENT_BYTES])
            deadline = time.monotonic() + 30
            while Upload.objects.get().offset_bytes == 0:  # the first durable bytes, long before the request ends
                assert time.monotonic() < deadline, "nothing was made durable while the body came"
                time.sleep(0.02)
            server.kill()
        server.start()

        offset = int(client.head(location).headers["Upload-Offset"])
        assert 0 < offset <= SENT_BYTES
        assert not Artifact.objects.exists()
        answer = client.patch(
            location,
            content=body[offset:],
            headers={"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"},
        )
        assert answer.status_code == 204, answer.text
    assert Artifact.objects.get().sha256 == hashlib.sha256(body).hexdigest()
