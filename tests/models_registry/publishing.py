"""Publishing through the API, as CI and the dashboard do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from common.jobs.service import jobs_run_due
from models_registry.sandbox.__main__ import run
from models_registry.services import catalogue, uploads, validation
from tests.factories.people import Person


class Api:
    """The operators' API as one person uses it."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.client = person

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(f"/api/v1/{path}", body)

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/api/v1/{path}")

    def upload(self, body: bytes, filename: str = "model.onnx") -> str:
        """A complete upload's id. The door itself has tests of its own; here its service is enough."""
        caller = self.person.caller
        upload = uploads.upload_create(caller=caller, filename=filename, length_bytes=len(body))
        writer = uploads.UploadWriter(caller=caller, upload_id=upload.public_id, offset_bytes=0)
        try:
            writer.write(body)
            writer.finish()
        finally:
            writer.close()
        return str(upload.public_id)

    def model(self, name: str = "digits") -> dict[str, Any]:
        answer = self.post("models/", name=name, description="reads digits")
        assert answer.status_code == 201, answer.content
        return dict(answer.json())

    def evaluation_set(self, model: dict[str, Any], path: Path) -> dict[str, Any]:
        upload = self.upload(path.read_bytes(), path.name)
        answer = self.post(f"models/{model['id']}/evaluation-sets/", name="held out", upload=upload)
        assert answer.status_code == 201, answer.content
        return dict(answer.json())

    def version(self, model: dict[str, Any], body: bytes, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
        answer = self.post("versions/", model=model["name"], version=version, upload=self.upload(body), **more)
        assert answer.status_code == 201, answer.content
        return dict(answer.json())

    def read(self, version: dict[str, Any]) -> dict[str, Any]:
        answer = self.get(f"versions/{version['id']}/")
        assert answer.status_code == 200
        return dict(answer.json())


def validate() -> int:
    """Let the worker do what is due."""
    return jobs_run_due("artifacts")


@contextmanager
def sandbox_in_process() -> Iterator[None]:
    """Run the sandbox's own code without its child process: a hundred times faster, and confined by nothing."""

    def run_here(command: str, arguments: dict[str, str], *, limits: Any, on_progress: Any = None) -> dict[str, Any]:
        found = run(command, arguments, on_progress or (lambda _ratio, _text: None))
        return dict(json.loads(json.dumps({**found, "confined": []})))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "sandbox_run", run_here)
        patch.setattr(validation, "sandbox_run", run_here)
        yield
