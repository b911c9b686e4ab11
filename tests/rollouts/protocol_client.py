"""A device as a test sees it: an id, a key, and the requests of the protocol."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from httpx import Response

from common.clock import now
from fleet.models import Device
from fleet.services.access import access_token_encode
from fleet.types import DeviceCaller
from flotilla_protocol.identity import PrivateKey, key_generate, report_sign
from flotilla_protocol.messages import RunningModel, Soak, VersionReport
from governance.models import Organization
from tests.factories.fleets import device_make
from tests.rollouts.door import Door

PATIENCE_S = 10.0


class Agent:
    """Speaks for one device. ``running``: model -> (version, digest)."""

    def __init__(self, door: Door, organization: Organization, *, can_sign: bool = True, **values: Any) -> None:
        self.key: PrivateKey = key_generate()
        self.device: Device = device_make(organization, key=self.key if can_sign else None, **values)
        self.door = door
        self.cid = self.device.controller_id
        self.caller = DeviceCaller(
            organization_id=organization.pk, device_id=self.device.pk, controller_id=self.cid, tenant=organization.slug
        )
        token = access_token_encode(self.caller, generation=self.device.token_generation).text
        self.headers = {"Authorization": f"Bearer {token}"}
        self.base = f"/{organization.slug}/controller/v1/{self.cid}"
        self.agent_base = f"/{organization.slug}/agent/v1/{self.cid}"
        self.running: dict[str, tuple[str, str]] = {}
        self.last_number = 0

    # --- Single requests --------------------------------------------------------------------------
    def get(self, path: str, **headers: str) -> Response:
        return self.door.get(path, headers={**self.headers, **headers})

    def poll(self, etag: str = "") -> Response:
        return self.get(self.base, **({"If-None-Match": etag} if etag else {}))

    def links(self) -> dict[str, str]:
        response = self.poll()
        assert response.status_code == 200, response.text
        return {name: link["href"] for name, link in response.json()["_links"].items()}

    def feedback(
        self, number: int, execution: str, finished: str = "none", *details: str, cancel: bool = False
    ) -> Response:
        kind = "cancelAction" if cancel else "deploymentBase"
        body = {
            "id": str(number),
            "time": "20261120T120000",
            "status": {"execution": execution, "result": {"finished": finished}, "details": list(details)},
        }
        return self.door.post(f"{self.base}/{kind}/{number}/feedback", json=body, headers=self.headers)

    def deployment(self, number: int) -> dict[str, Any]:
        response = self.get(f"{self.base}/deploymentBase/{number}")
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()["deployment"]
        return body

    def attributes(self, **values: str) -> Response:
        return self.door.put(f"{self.base}/configData", json={"mode": "merge", "data": values}, headers=self.headers)

    # --- Walks ------------------------------------------------------------------------------------
    def offered(self) -> int | None:
        """The number of the action shown now, if any."""
        href = self.links().get("deploymentBase")
        return int(re.search(r"/deploymentBase/(\d+)\?c=\d+$", href).group(1)) if href else None  # type: ignore[union-attr]

    def wait_offered(self) -> int:
        number = wait_for(self.offered)
        assert number is not None
        return number

    def install(self, number: int, *, lies: bool = False) -> dict[str, Any]:
        """Fetch, check, switch and say so; with ``lies`` without switching."""
        chunk: dict[str, Any] = self.deployment(number)["chunks"][0]
        metadata = {entry["key"]: entry["value"] for entry in chunk["metadata"]}
        for step in ("downloading", "verifying", "installing"):
            assert self.feedback(number, "proceeding", "none", step).status_code == 200
        if not lies:
            if chunk["artifacts"]:
                self.running[chunk["name"]] = (chunk["version"], metadata["flotilla.digest"])
            else:
                self.running.pop(chunk["name"], None)
        self.last_number = number
        response = self.feedback(number, "closed", "success", "switched")
        assert response.status_code == 200, response.text
        return chunk

    def update(self) -> dict[str, Any]:
        """Wait for an offer and install it."""
        return self.install(self.wait_offered())

    def report(
        self,
        *,
        clean: bool | None = True,
        seconds: float = 10_000,
        self_test: str = "passed",
        at: datetime | None = None,
        **changed: Any,
    ) -> Response:
        values: dict[str, Any] = {
            "controller_id": self.cid,
            "action_number": self.last_number,
            "running": [
                RunningModel(model=model, version=version, digest=digest, since=now(), slot="a")
                for model, (version, digest) in self.running.items()
            ],
            "self_test": self_test,
            "soak": Soak(clean=clean, seconds=seconds, errors=0 if clean is not False else 3),
            "agent_version": "1.0",
            "sent_at": at or now(),
            "nonce": hashlib.sha256(str(time.monotonic_ns()).encode()).hexdigest()[:16],
        }
        key = changed.pop("key", self.key)
        jws = report_sign(VersionReport(**{**values, **changed}), key)
        return self.door.post(f"{self.agent_base}/reports", json={"report": jws}, headers=self.headers)


def wait_for(condition: Callable[[], Any], *, patience_s: float = PATIENCE_S) -> Any:
    """Ask until it is true; the last answer. Notices travel between threads, so a level is waited for."""
    until = time.monotonic() + patience_s
    while True:
        value = condition()
        if value or time.monotonic() > until:
            return value
        time.sleep(0.01)
