"""Starts the three clouds' emulators and hands out ``StoreAddress`` values for them.

moto (S3) and gcp-storage-emulator (Google) run in threads of the test process, Azurite (Azure) as a Node child. Azurite
comes from npm by the lock file beside this module, once, into ``node_modules`` here.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from boto3.session import Session
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

from config.env import StoreAddress

_HERE = Path(__file__).parent
_AZURITE = _HERE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_START_DEADLINE_S = 30.0
_INSTALL_DEADLINE_S = 300.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(what: str) -> None:
    """A missing emulator is a failure where services are required, and said aloud elsewhere."""
    text = f"{what} is not to be had here: the storage contract was not checked against it"
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(text)
    pytest.skip(text)


@contextmanager
def s3() -> Iterator[StoreAddress]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    session = Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-central-1")
    client = session.client("s3", endpoint_url=url)
    client.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.close()
    try:
        yield StoreAddress(
            name="amazon",
            scheme="s3",
            location="artifacts/prefix",
            options={"endpoint_url": url, "region": "eu-central-1", "addressing_style": "path"},
            secret="test:test",
        )
    finally:
        server.stop()


def _service_account() -> str:
    """A throw-away service account key: the emulator checks no signatures, the client library makes real ones."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "test",
            "private_key_id": "test",
            "private_key": pem.decode(),
            "client_email": "test@test.invalid",
            "client_id": "1",
            "token_uri": "http://127.0.0.1:9/never-asked",
        }
    )


@contextmanager
def gcs() -> Iterator[StoreAddress]:
    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="artifacts")
    server.start()
    try:
        yield StoreAddress(
            name="google",
            scheme="gs",
            location="artifacts/prefix",
            options={"endpoint_url": f"http://127.0.0.1:{port}", "project": "test"},
            secret=_service_account(),
        )
    finally:
        server.stop()


def _tool(name: str) -> str | None:
    """A program of the distribution, or the one the Node wheel put beside this Python."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def _install_azurite(npm: str) -> None:
    """``npm ci`` by the lock file, once; parallel test workers wait for each other."""
    with (_HERE / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _AZURITE.exists():
            return
        subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
            cwd=_HERE,
            check=True,
            timeout=_INSTALL_DEADLINE_S,
            capture_output=True,
            env={**os.environ, "PATH": f"{Path(npm).parent}{os.pathsep}{os.environ.get('PATH', '')}"},
        )


def _wait_for_port(port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"Azurite does not listen on port {port}")


@contextmanager
def azure() -> Iterator[StoreAddress]:
    node, npm = _tool("node"), _tool("npm")
    if node is None or npm is None:
        missing("Azurite (no Node)")
    assert node is not None
    assert npm is not None
    try:
        _install_azurite(npm)
    except (subprocess.SubprocessError, OSError):
        missing("Azurite (npm ci failed)")
    port = free_port()
    account, key = "testaccount", base64.b64encode(os.urandom(64)).decode()
    url = f"http://127.0.0.1:{port}/{account}"
    child = subprocess.Popen(
        [
            node, str(_AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port),
            "--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry",
        ],
        env={**os.environ, "AZURITE_ACCOUNTS": f"{account}:{key}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for_port(port, child)
        credential = {"account_name": account, "account_key": key}
        with BlobServiceClient(url, credential=credential) as client:
            client.create_container("artifacts").close()
        yield StoreAddress(
            name="microsoft",
            scheme="azure",
            location=f"{account}/artifacts/prefix",
            options={"endpoint_url": url},
            secret=key,
        )
    finally:
        child.terminate()
        child.wait(timeout=10)
