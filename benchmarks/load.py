"""The load generator: wrk where present, else autocannon from the lock file; calibrated against nginx.

What the generator reaches against an nginx that answers a constant is the most it can measure. Where a server comes
closer to that than a factor of 1.5, the generator may be the limit, and the speed is marked as a lower bound.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import NotMeasurableError, Speed
from config.embedded.processes import free_port
from tests.debian import find

HEADROOM = 1.5
FOLDER = Path(__file__).resolve().parent
START_DEADLINE_S = 10


@dataclass(frozen=True)
class Request:
    """One of the requests a connection sends in turn."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def measure(base_url: str, requests: Sequence[Request], *, seconds: float = 3, connections: int = 64) -> Speed:
    """Requests answered per second, sent in turn over that many connections.

    Args:
        base_url: ``http://127.0.0.1:<port>``.
        requests: at least one; every connection goes through all of them.
        seconds: how long.
        connections: how many at once.

    Raises:
        NotMeasurableError: there is no generator, no nginx to calibrate it, or an answer was an error.
    """
    rate = _generate(base_url, requests, seconds=seconds, connections=connections)
    return Speed(rate, is_generator_bound=calibration(seconds, connections) < HEADROOM * rate)


@functools.cache
def calibration(seconds: float, connections: int) -> float:
    """What the generator reaches against nginx answering a constant, requests per second."""
    with constant_nginx() as url:
        return _generate(url, [Request("/")], seconds=seconds, connections=connections)


@contextmanager
def constant_nginx() -> Iterator[str]:
    """An nginx that answers ``ok`` to everything; yields its address.

    Raises:
        NotMeasurableError: nginx is not here.
    """
    program = find("nginx")
    if program is None:
        raise NotMeasurableError("nginx is not here, so the load generator cannot be calibrated")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="flotilla-nginx-") as folder:
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr crit;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; keepalive_requests 1000000000;\n"
            f"  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};\n"
            f"  uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
            f"  server {{ listen 127.0.0.1:{port}; location / {{ return 200 'ok'; }} }} }}\n"
        )
        command = [str(program), "-p", folder, "-c", str(configuration), "-e", "stderr"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(port, process)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise NotMeasurableError("nginx did not start")


def _generate(base_url: str, requests: Sequence[Request], *, seconds: float, connections: int) -> float:
    wrk = find("wrk")
    if wrk is not None:
        return _wrk(wrk, base_url, requests, seconds=seconds, connections=connections)
    return _autocannon(base_url, requests, seconds=seconds, connections=connections)


def _lua(requests: Sequence[Request]) -> str:
    """A wrk script that formats every request once, then sends them in turn."""

    def text(value: bytes) -> str:
        return '"' + "".join(f"\\{byte:03d}" for byte in value) + '"'

    lines = ["local list, i = {}, 0", "function init(args)"]
    for request in requests:
        headers = ", ".join(f"[{text(k.encode())}] = {text(v.encode())}" for k, v in request.headers.items())
        method, path, body = (text(part) for part in (request.method.encode(), request.path.encode(), request.body))
        lines.append(f"  list[#list + 1] = wrk.format({method}, {path}, {{{headers}}}, {body})")
    lines += ["end", "function request() i = i % #list + 1; return list[i] end"]
    return "\n".join(lines)


def _wrk(wrk: Path, base_url: str, requests: Sequence[Request], *, seconds: float, connections: int) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_lua(requests))
        script.flush()
        # wrk counts whole seconds.
        duration = f"{max(1, round(seconds))}s"
        command = [str(wrk), "-t1", f"-c{connections}", "-d", duration, "-s", script.name, base_url]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", result.stdout)
    if result.returncode or rate is None:
        raise NotMeasurableError(f"wrk: {result.stderr.strip() or result.stdout.strip()}")
    errors = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", result.stdout)
    if errors:
        raise NotMeasurableError(f"wrk: {errors.group(0)}")
    return float(rate.group(1))


def _autocannon(base_url: str, requests: Sequence[Request], *, seconds: float, connections: int) -> float:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise NotMeasurableError("neither wrk nor node is here")
    if not (FOLDER / "node_modules" / "autocannon").exists():
        installed = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund"], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        if installed.returncode:
            raise NotMeasurableError("wrk is not here and autocannon could not be installed")
    plan = {
        "url": base_url,
        "connections": connections,
        "duration": max(1, round(seconds)),
        "requests": [
            {
                "method": request.method,
                "path": request.path,
                "headers": dict(request.headers),
                "body": base64.b64encode(request.body).decode(),
            }
            for request in requests
        ],
    }
    result = subprocess.run(
        [node, "autocannon.cjs"], cwd=FOLDER, input=json.dumps(plan), capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise NotMeasurableError(f"autocannon: {result.stderr.strip()}")
    return float(json.loads(result.stdout)["rate"])
