"""The nginx configuration, run by this machine's nginx with TLS in front of an application that echoes."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
import websockets.sync.client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import call_command
from django.db import transaction

from config.embedded.death import die_with_parent
from fleet.services.authority import device_authority_ensure, device_certificate_sign
from flotilla_agent.identity import Identity
from flotilla_protocol.identity import key_generate, key_to_pem
from governance.models import Organization
from tests import services
from tests.debian import find
from tests.docker.dockerfile import ROOT
from tests.factories.people import organization_make

CONFIGURATION = ROOT / "docker" / "nginx"
HOST = "flotilla.test"
DEADLINE_S = 20
# The database is set up only for tests that say so; what they need of it is made once, by `proxy`.
pytestmark = pytest.mark.django_db
FORGED = {
    "X-Request-Id": "chosen-by-client",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-User": "admin",
    "X-Forwarded-Host": "evil.test",
    "Forwarded": "for=203.0.113.7",
    "Remote-User": "admin",
    "X-Remote-User": "admin",
    "X-Real-Ip": "203.0.113.7",
    "X-Ssl-Client-Verify": "SUCCESS",
    "X-Ssl-Client-Dn": "CN=cam-1",
    "X-Client-Cert": "forged",
    "Remote_User": "admin",
    "Upgrade": "h2c",
}


@pytest.fixture(scope="module")
def nginx() -> Path:
    program = find("nginx")
    if program is None:
        text = "nginx is not on this machine (Debian: apt-get install nginx-light)"
        if services.is_required():
            pytest.fail(text)
        pytest.skip(text)
    return program


def _configure(folder: Path, values: dict[str, str]) -> Path:
    """What the image's start script does: fill in the template, lay the files where the configuration looks."""
    (folder / "conf.d").mkdir(parents=True)
    for name in ("nginx.conf", "proxy.inc"):
        (folder / name).write_text((CONFIGURATION / name).read_text(encoding="utf-8"))
    types = Path("/etc/nginx/mime.types")
    (folder / "mime.types").write_text(types.read_text() if types.exists() else "types {}")
    template = Template((CONFIGURATION / "flotilla.conf.template").read_text(encoding="utf-8"))
    (folder / "conf.d" / "flotilla.conf").write_text(template.safe_substitute(values))
    return folder / "nginx.conf"


def _server_certificate(folder: Path) -> None:
    folder.mkdir()
    key = key_generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    at = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(hours=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(key_to_pem(key))


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass(frozen=True)
class Proxy:
    """A running nginx."""

    people: str
    devices: str
    folder: Path

    def client(self, certificate: tuple[Path, Path] | None = None) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.folder / "tls" / "tls.crt"))
        if certificate:
            context.load_cert_chain(*certificate)
        return httpx.Client(verify=context, trust_env=False, timeout=10)

    def device(self, name: str) -> tuple[Path, Path]:
        """A device's certificate and key, made by the ``proxy`` fixture."""
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"


def _trust(folder: Path) -> None:
    """The authorities' bundle by the command that makes it, and devices: one of the product's, one of a stranger's."""
    call_command("flotilla_device_authorities", output=folder / "device-authorities.pem", verbosity=0)
    for name in ("cam-1", "stranger"):
        key = key_generate()
        (folder / f"{name}.key").write_bytes(key_to_pem(key))
        if name == "stranger":
            (folder / f"{name}.crt").write_bytes(_strangers_certificate(name, key))
        else:
            authority = device_authority_ensure(organization_id=Organization.objects.get().pk)
            signed = device_certificate_sign(authority=authority, controller_id=name, public_key=key.public_key())
            (folder / f"{name}.crt").write_text(signed.pem)


def _strangers_certificate(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    at = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Flotilla device authority")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(hours=1))
        .not_valid_after(at + timedelta(days=1))
        .sign(key_generate(), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - prctl only
        )


def _wait_for(test: Any, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not test():
        dead = [process for process in processes if process.poll() is not None]
        assert not dead, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def proxy(
    nginx: Path, django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    _server_certificate(folder / "tls")
    with django_db_blocker.unblock(), transaction.atomic():
        organization_make("acme")
        _trust(folder)
        transaction.set_rollback(True)
    people, devices = _free_ports(2)
    application = folder / "application.sock"
    configuration = _configure(
        folder / "etc",
        {
            "FLOTILLA_NGINX_HTTPS": f"127.0.0.1:{people}",
            "FLOTILLA_NGINX_DEVICES": f"127.0.0.1:{devices}",
            "FLOTILLA_NGINX_WEB": f"unix:{application}",
            "FLOTILLA_NGINX_GATEWAY": f"unix:{application}",
            "FLOTILLA_NGINX_TLS": str(folder / "tls"),
            "FLOTILLA_NGINX_TRUST": str(folder),
        },
    )
    log = folder / "log"
    user = " user root;" if os.geteuid() == 0 else ""  # the test's folder is for its owner alone
    command = [str(nginx), "-c", str(configuration), "-p", str(folder), "-g", f"daemon off; pid {folder}/pid;{user}"]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr, checked.stderr
    upstream = _spawn(
        [
            sys.executable,
            "-m",
            "uvicorn",
            "tests.docker.echo:application",
            "--uds",
            str(application),
            "--log-level",
            "warning",
        ],
        log,
    )
    server = _spawn(command, log)
    running = Proxy(f"https://localhost:{people}", f"https://localhost:{devices}", folder)
    try:
        with running.client() as client:

            def answers() -> bool:
                try:
                    return client.get(f"{running.people}/healthz").status_code == 200
                except httpx.TransportError:
                    return False

            _wait_for(answers, [upstream, server], log)
        yield running
    finally:
        for process in (server, upstream):
            process.terminate()
        for process in (server, upstream):
            process.wait(10)


def test_people_reach_the_application_under_the_name_they_used_and_nothing_they_forge(proxy: Proxy) -> None:
    with proxy.client() as client:
        answer = client.get(f"{proxy.people}/api/v1/devices/?search=x", headers=FORGED)
    headers = answer.json()["headers"]
    received = dict(headers)
    assert len(headers) == len(received), "a header arrived twice"
    assert received["host"] == f"localhost:{proxy.people.rpartition(':')[2]}"
    assert received["x-forwarded-proto"] == "https"
    assert received["x-forwarded-for"] == "127.0.0.1"
    assert len(received["x-request-id"]) == 32
    values = " ".join(received.values())
    for trace in ("chosen-by-client", "203.0.113.7", "admin", "evil.test", "SUCCESS", "cam-1", "forged", "h2c"):
        assert trace not in values
    assert answer.headers["Strict-Transport-Security"]


def test_the_live_socket_is_upgraded(proxy: Proxy) -> None:
    context = ssl.create_default_context(cafile=str(proxy.folder / "tls" / "tls.crt"))
    address = proxy.people.replace("https", "wss") + "/ws/live/"
    with websockets.sync.client.connect(address, ssl=context, proxy=None) as live:
        assert '"x-forwarded-proto":"https"' in str(live.recv(10)).replace(" ", "")


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/acme/controller/v1/cam-1", "/acme/agent/v1/token"])
def test_inner_paths_and_device_doors_are_not_served_to_people(proxy: Proxy, path: str) -> None:
    with proxy.client() as client:
        assert client.get(proxy.people + path).status_code == 404


def test_uploads_are_not_bounded_by_the_proxy_and_other_bodies_are(proxy: Proxy) -> None:
    body = b"x" * 4_000_000
    with proxy.client() as client:
        assert client.patch(f"{proxy.people}/api/v1/uploads/1", content=body).json()["bytes"] == len(body)
        assert client.post(f"{proxy.people}/api/v1/models/", content=body).status_code == 413


def test_a_device_joins_without_a_certificate_and_does_nothing_else_without_one(proxy: Proxy) -> None:
    with proxy.client() as client:
        assert client.post(f"{proxy.devices}/acme/agent/v1/enrol", content=b"{}").json()["bytes"] == 2
        for path in ("/acme/agent/v1/token", "/acme/controller/v1/cam-1", "/acme/agent/v1/cam-1/telemetry"):
            answer = client.post(proxy.devices + path, headers=FORGED)
            assert answer.status_code == 403
            assert answer.json()["code"] == "client_certificate_required"


def test_a_device_with_the_authoritys_certificate_is_let_through(proxy: Proxy) -> None:
    with proxy.client(proxy.device("cam-1")) as client:
        answer = client.get(f"{proxy.devices}/acme/controller/v1/cam-1", headers=FORGED)
    assert answer.json()["path"] == "/acme/controller/v1/cam-1"
    received = dict(answer.json()["headers"])
    assert "admin" not in received.values()
    assert "x-ssl-client-verify" not in received


def test_the_agent_shows_the_certificate_it_got_when_it_joined(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.folder / "tls" / "tls.crt"))
    certificate, key = proxy.device("cam-1")
    (tmp_path / "key.pem").write_bytes(key.read_bytes())
    (tmp_path / "key.pem").chmod(0o600)
    address = f"{proxy.devices}/acme/controller/v1/cam-1"
    with httpx.Client(verify=Identity(tmp_path).tls, trust_env=False) as client:
        assert client.get(address).status_code == 403
    (tmp_path / "certificate.pem").write_bytes(certificate.read_bytes())
    with httpx.Client(verify=Identity(tmp_path).tls, trust_env=False) as client:
        assert client.get(address).status_code == 200


def test_a_certificate_of_another_authority_of_the_same_name_is_refused(proxy: Proxy) -> None:
    with proxy.client(proxy.device("stranger")) as client:
        assert client.get(f"{proxy.devices}/acme/controller/v1/stranger").status_code == 400


def test_only_device_paths_are_served_to_devices(proxy: Proxy) -> None:
    with proxy.client() as client:
        for path in ("/", "/api/v1/devices/", "/metrics", "/static/index.js"):
            answer = client.get(proxy.devices + path)
            assert answer.status_code == 404
            assert answer.json()["code"] == "not_found"


def test_query_strings_are_not_logged(proxy: Proxy) -> None:
    with proxy.client() as client:
        client.get(f"{proxy.people}/api/v1/artifacts/?signature=verysecret")
    log = proxy.folder / "log"
    _wait_for(lambda: "/api/v1/artifacts/" in log.read_text(), [], log)
    assert "verysecret" not in log.read_text()
