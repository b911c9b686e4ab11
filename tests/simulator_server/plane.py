"""The control plane: enrolment, tokens, DDI, artifacts with ranges, reports, telemetry with exact
sequences.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flotilla_protocol import codec, identity
from flotilla_protocol.errors import IdentityError, InvalidMessageError
from flotilla_protocol.messages import (
    EnrolRequest,
    SignedReport,
    TelemetryBatch,
    TokenRequest,
    VersionReport,
    telemetry_decode,
)
from tests.simulator_server.models import Published
from tests.simulator_server.repository import Repository

TENANT = "demo"


@dataclass
class Action:
    """One action of one device."""

    number: int
    published: list[Published]
    kind: str = "install"  # install | restore | remove
    soak_s: float = 0.0
    shadow_every: int = 2
    update: str = "forced"
    state: str = "open"  # open | cancelling | closed
    result: str = ""
    details: list[str] = field(default_factory=list)
    feedback: list[tuple[str, str, list[str]]] = field(default_factory=list)


@dataclass
class Device:
    """What the plane knows of a device."""

    public_key: identity.PublicKey
    hardware_profile: str
    actions: list[Action] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    reports: list[VersionReport] = field(default_factory=list)
    batches: list[TelemetryBatch] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
    poll_count: int = 0
    unchanged_count: int = 0
    attributes_wanted: bool = True

    @property
    def open_action(self) -> Action | None:
        return next((action for action in self.actions if action.state != "closed"), None)


class ControlPlane:
    """The whole of it. ``app`` is an ASGI application; ``url`` is what every address starts with."""

    def __init__(self, url: str = "http://plane.test") -> None:
        self.url = url
        self.repository = Repository()
        self.devices: dict[str, Device] = {}
        self.tokens: dict[str, str] = {}  # enrolment token -> id of the device it let in, or ""
        self.bytes_of: dict[str, bytes] = {}
        self.poll_interval_s = 0.1
        self.window_interval_s = 0.2
        self.health_interval_s = 0.2
        self.report_interval_s = 300.0
        self.bytes_sent = 0
        self.ranges: list[str] = []
        # Bending
        self.is_down = False
        self.retry_after_s = 0
        self.lose_answers_of: set[str] = set()  # last part of a path: work is done, then 503
        self.cut_after: int | None = None  # a download's connection ends after so many bytes, once
        self.ignores_ranges = False
        self.leaves_out_files = False  # of every deployment
        self.when_fetched: Callable[[], None] | None = None  # called at each request for a file
        self.clock_skew = timedelta(0)
        self._access: dict[str, str] = {}
        self._used_jti: set[bytes] = set()
        self._authority = identity.key_generate()
        self.app = Starlette(routes=self._routes())

    # --- What an operator does ------------------------------------------------------------------------
    def token(self) -> str:
        token = secrets.token_urlsafe(12)
        self.tokens[token] = ""
        return token

    def publish(self, published: Published) -> Published:
        self.bytes_of[published.model_target] = published.file
        self.bytes_of[published.manifest_target] = published.manifest_file
        self.repository.add(published.model_target, published.file)
        self.repository.add(published.manifest_target, published.manifest_file)
        return published

    def order(self, controller_id: str, *published: Published, **how: Any) -> Action:
        device = self.devices[controller_id]
        action = Action(number=len(device.actions) + 1, published=list(published), **how)
        device.actions.append(action)
        return action

    def revoke_access(self) -> None:
        self._access.clear()

    def corrupt(self, target: str) -> None:
        """One byte of the stored file changes; its length stays."""
        content = bytearray(self.bytes_of[target])
        content[len(content) // 2] ^= 0xFF
        self.bytes_of[target] = bytes(content)

    # --- Doors ------------------------------------------------------------------------------------------
    def _routes(self) -> list[Route]:
        agent, ddi = "/{tenant}/agent/v1", "/{tenant}/controller/v1/{cid}"
        return [
            Route(f"{agent}/enrol", self._door(self._enrol, authenticated=False), methods=["POST"]),
            Route(f"{agent}/token", self._door(self._token, authenticated=False), methods=["POST"]),
            Route(f"{agent}/{{cid}}", self._door(self._configuration)),
            Route(f"{agent}/{{cid}}/metadata/{{file}}", self._door(self._metadata)),
            Route(f"{agent}/{{cid}}/reports", self._door(self._report), methods=["POST"]),
            Route(f"{agent}/{{cid}}/telemetry", self._door(self._telemetry), methods=["POST"]),
            Route(ddi, self._door(self._root)),
            Route(f"{ddi}/configData", self._door(self._config_data), methods=["PUT"]),
            Route(f"{ddi}/deploymentBase/{{number}}", self._door(self._deployment)),
            Route(f"{ddi}/deploymentBase/{{number}}/feedback", self._door(self._feedback), methods=["POST"]),
            Route(f"{ddi}/cancelAction/{{number}}", self._door(self._cancel)),
            Route(f"{ddi}/cancelAction/{{number}}/feedback", self._door(self._cancelled), methods=["POST"]),
            Route(f"{ddi}/files/{{target:path}}", self._door(self._file)),
        ]

    def _door(
        self, handler: Callable[..., Awaitable[Response]], *, authenticated: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        async def door(request: Request) -> Response:
            if self.is_down:
                return self._error(503, "unavailable", {"Retry-After": str(self.retry_after_s)})
            if request.path_params["tenant"].lower() != TENANT:
                return self._error(404, "not_found")
            if authenticated:
                cid = request.path_params["cid"]
                bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
                if self._access.get(bearer) != cid:
                    return self._error(401, "not_authenticated")
                response = await handler(request, self.devices[cid])
            else:
                response = await handler(request)
            if request.url.path.rsplit("/", 1)[-1] in self.lose_answers_of:
                return self._error(503, "unavailable")
            return response

        return door

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> Response:
        date = (datetime.now(UTC) + self.clock_skew).strftime("%a, %d %b %Y %H:%M:%S GMT")
        body = {"code": code, "message": code, "fields": {}, "request_id": ""}
        return JSONResponse(body, status, {"Date": date, **(headers or {})})

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.clock_skew

    async def _enrol(self, request: Request) -> Response:
        try:
            asked = codec.decode(await request.body(), EnrolRequest)
            key = identity.csr_verify(asked.csr_pem, asked.controller_id)
        except (InvalidMessageError, IdentityError):
            return self._error(400, "fleet.invalid_csr")
        if asked.token not in self.tokens or self.tokens[asked.token] not in {"", asked.controller_id}:
            return self._error(403, "fleet.enrolment_refused")
        known = self.devices.get(asked.controller_id)
        if known and known.public_key.public_numbers() != key.public_numbers():
            return self._error(409, "fleet.device_exists")
        self.tokens[asked.token] = asked.controller_id
        if not known:
            self.devices[asked.controller_id] = Device(key, asked.hardware.profile)
        return JSONResponse(
            {
                "device_id": "018f0000-0000-7000-8000-000000000000",
                "controller_id": asked.controller_id,
                "tenant": TENANT,
                "certificate_pem": self._certificate(key, asked.controller_id),
                "authority_pem": "authority",
                "root_metadata": self.repository.files["1.root.json"].decode(),
                "poll_interval_s": self.poll_interval_s,
            }
        )

    def _certificate(self, key: identity.PublicKey, controller_id: str) -> str:
        return (
            x509.CertificateBuilder()
            .subject_name(identity.subject_name(controller_id))
            .issuer_name(identity.subject_name("authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now())
            .not_valid_after(self._now() + timedelta(days=365))
            .sign(self._authority, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
            .decode()
        )

    async def _token(self, request: Request) -> Response:
        try:
            assertion = codec.decode(await request.body(), TokenRequest).assertion
            tenant, cid = identity.assertion_subject(assertion)
            proof = identity.assertion_verify(
                assertion,
                public_key=self.devices[cid].public_key,
                audience=identity.assertion_audience(self.url, TENANT),
                now=self._now(),
            )
        except (InvalidMessageError, IdentityError, KeyError):
            return self._error(401, "not_authenticated")
        used = identity.jti_hash(tenant, cid, proof.jti)
        if used in self._used_jti:
            return self._error(401, "not_authenticated")
        self._used_jti.add(used)
        access = secrets.token_urlsafe(24)
        self._access[access] = cid
        return JSONResponse({"access_token": access, "expires_in_s": 900})

    async def _configuration(self, request: Request, _device: Device) -> Response:
        base = f"{self.url}/{TENANT}/agent/v1/{request.path_params['cid']}"
        return JSONResponse(
            {
                "server_time_ms": int(time.time() * 1000 + self.clock_skew.total_seconds() * 1000),
                "links": {
                    "metadata": f"{base}/metadata/",
                    "reports": f"{base}/reports",
                    "telemetry": f"{base}/telemetry",
                },
                "poll_interval_s": self.poll_interval_s,
                "health_interval_s": self.health_interval_s,
                "window_interval_s": self.window_interval_s,
                "report_interval_s": self.report_interval_s,
            }
        )

    async def _metadata(self, request: Request, _device: Device) -> Response:
        content = self.repository.files.get(request.path_params["file"])
        return self._error(404, "not_found") if content is None else Response(content)

    async def _root(self, request: Request, device: Device) -> Response:
        base = f"{self.url}/{TENANT}/controller/v1/{request.path_params['cid']}"
        links: dict[str, Any] = {"agent": {"href": f"{self.url}/{TENANT}/agent/v1/{request.path_params['cid']}"}}
        action = device.open_action
        if action is not None and action.state == "cancelling":
            links["cancelAction"] = {"href": f"{base}/cancelAction/{action.number}"}
        elif action is not None:
            marker = 1 if action.update == "forced" else 2
            links["deploymentBase"] = {"href": f"{base}/deploymentBase/{action.number}?c={marker}"}
        if device.attributes_wanted:
            links["configData"] = {"href": f"{base}/configData"}
        device.poll_count += 1
        etag = f'"{hashlib.sha256(json.dumps(links).encode()).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == etag:
            device.unchanged_count += 1
            return Response(status_code=304, headers={"ETag": etag})
        body = {"config": {"polling": {"sleep": "00:00:01"}}, "_links": links}
        return JSONResponse(body, headers={"ETag": etag})

    async def _config_data(self, request: Request, device: Device) -> Response:
        device.attributes |= (await request.json())["data"]
        device.attributes_wanted = False
        return Response()

    def _action(self, request: Request, device: Device) -> Action | None:
        number = int(request.path_params["number"])
        return next((action for action in device.actions if action.number == number), None)

    async def _deployment(self, request: Request, device: Device) -> Response:
        action = self._action(request, device)
        if action is None or action.state != "open":
            return self._error(404, "not_found")
        base = f"{self.url}/{TENANT}/controller/v1/{request.path_params['cid']}/files"
        if action.kind == "remove":
            return self._removal(action)
        chunks = [
            {
                "part": "model",
                "version": published.version,
                "name": published.model,
                "artifacts": []
                if self.leaves_out_files
                else [
                    {
                        "filename": name,
                        "size": len(content),
                        "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                        "_links": {"download": {"href": f"{base}/{target}"}},
                    }
                    for name, target, content in (
                        ("model.onnx", published.model_target, published.file),
                        ("manifest.json", published.manifest_target, published.manifest_file),
                    )
                ],
                "metadata": [
                    {"key": "flotilla.kind", "value": action.kind},
                    {"key": "flotilla.digest", "value": published.digest},
                    {"key": "flotilla.target.model", "value": published.model_target},
                    {"key": "flotilla.target.manifest", "value": published.manifest_target},
                    {"key": "flotilla.soak_s", "value": str(action.soak_s)},
                    {"key": "flotilla.shadow_every", "value": str(action.shadow_every)},
                ],
            }
            for published in action.published
        ]
        deployment = {"download": "forced", "update": action.update, "chunks": chunks}
        return JSONResponse({"id": str(action.number), "deployment": deployment})

    def _removal(self, action: Action) -> Response:
        """A removal has the form of a deployment without anything in it."""
        values = {
            "flotilla.kind": "remove",
            "flotilla.digest": "",
            "flotilla.soak_s": "0",
            "flotilla.shadow_every": "0",
        }
        chunks = [
            {
                "part": "model",
                "version": "",
                "name": published.model,
                "artifacts": [],
                "metadata": [{"key": key, "value": value} for key, value in values.items()],
            }
            for published in action.published
        ]
        deployment = {"download": "forced", "update": action.update, "chunks": chunks}
        return JSONResponse({"id": str(action.number), "deployment": deployment})

    async def _feedback(self, request: Request, device: Device) -> Response:
        action = self._action(request, device)
        if action is None:
            return self._error(404, "not_found")
        if action.state == "closed":
            return self._error(410, "gone")
        status = (await request.json())["status"]
        entry = (status["execution"], status["result"]["finished"], status.get("details", []))
        action.feedback.append(entry)
        if entry[0] == "closed":
            action.state, action.result, action.details = "closed", entry[1], entry[2]
            device.attributes_wanted = True
        return Response()

    async def _cancel(self, request: Request, device: Device) -> Response:
        action = self._action(request, device)
        if action is None or action.state != "cancelling":
            return self._error(404, "not_found")
        return JSONResponse({"id": str(action.number), "cancelAction": {"stopId": str(action.number)}})

    async def _cancelled(self, request: Request, device: Device) -> Response:
        action = self._action(request, device)
        if action is None or action.state != "cancelling":
            return self._error(405, "not_cancelling")
        status = (await request.json())["status"]
        if status["execution"] == "closed" and status["result"]["finished"] == "success":
            action.state, action.result = "closed", "cancelled"
        else:
            action.state = "open"
        return Response()

    async def _file(self, request: Request, _device: Device) -> Response:
        content = self.bytes_of.get(request.path_params["target"])
        if content is None:
            return self._error(404, "not_found")
        if self.when_fetched is not None:
            self.when_fetched()
        asked = request.headers.get("Range", "")
        self.ranges.append(asked)
        headers = {"Accept-Ranges": "bytes"}
        status, start, end = 200, 0, len(content)
        if asked and not self.ignores_ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, len(content)) if last else len(content)
            if start >= len(content):
                return Response(status_code=416, headers={"Content-Range": f"bytes */{len(content)}"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        body = content[start:end]
        if self.cut_after is not None and len(body) > self.cut_after:
            body, self.cut_after = body[: self.cut_after], None
        self.bytes_sent += len(body)
        return Response(body, status, headers, media_type="application/octet-stream")

    async def _report(self, request: Request, device: Device) -> Response:
        try:
            signed = codec.decode(await request.body(), SignedReport)
            report = identity.report_verify(signed.report, device.public_key, request.path_params["cid"])
        except (InvalidMessageError, IdentityError):
            return self._error(400, "invalid_input")
        device.reports.append(report)
        return Response()

    async def _telemetry(self, request: Request, device: Device) -> Response:
        try:
            wire = codec.format_of(request.headers.get("Content-Type", ""))
            batch = telemetry_decode(await request.body(), wire)
        except InvalidMessageError:
            return self._error(400, "invalid_input")
        if batch.sequence > device.last.get(batch.stream, 0):
            device.last[batch.stream] = batch.sequence
            device.batches.append(batch)
        return JSONResponse({"stream": batch.stream, "sequence": batch.sequence})
