"""Telemetry ingest: against the limit of COPY, against the usual way, and through ``kill -9``.

A request carries 50 health samples of 12 values, the shape of ``docs/protocol/device.md``. Every request is a batch of
its own: a wrk script writes the next sequence of the next of 2,000 devices into it, since a repeated batch would be
acknowledged without being stored. After each run the rows in the table are compared with the answers.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec
import psycopg

from benchmarks import load
from benchmarks.harness import NotMeasurableError, Sides, Speed, number, ratio
from benchmarks.installation import Installation, installation
from config.embedded.death import die_with_parent
from config.embedded.processes import free_port
from config.embedded.state import ROOT
from config.embedded.supervisor import answers
from flotilla_protocol.messages import HEALTH_COLUMNS
from telemetry.hot import COPY_HEALTH
from telemetry.packing import HealthPart, health_copy
from tests.debian import find
from tests.telemetry.crash import Sending, send_through_kills

DEVICES = 2_000
ROWS = 50  # per request
SECONDS = 3
CONNECTIONS = 256  # the product's own clocking needs company: what queues during a commit makes the next group
DRF_CONNECTIONS = 16  # more only queue: a synchronous worker answers one request at a time
COPY_ROWS, COPY_COMMITS = 10_000, 30  # rows a commit, and different commits, repeated for as long as the product runs
BODIES = 64  # different sets of values
_MARGIN = 2  # requests in flight per connection when wrk stops
_START_DEADLINE_S = 60


def _values(seed: int) -> dict[str, list[float]]:
    choices = random.Random(seed)
    return {name: [round(choices.random(), 3) for _ in range(ROWS)] for name in HEALTH_COLUMNS}


def _times(seed: int) -> list[int]:
    first = int(time.time() * 1000) - 600_000 + seed * 1000
    return [first + 500 * row for row in range(ROWS)]


def _msgpack_parts(seed: int) -> tuple[bytes, bytes]:
    """A batch before and after its sequence, which is written as 8 bytes."""
    mark = 0x0123_4567_89AB_CDEF
    body = msgspec.msgpack.encode({"stream": 2, "sequence": mark, "health": {"ts_ms": _times(seed), **_values(seed)}})
    before, after = body.split(mark.to_bytes(8, "big"))
    return before, after


def _json_body(seed: int) -> bytes:
    return msgspec.json.encode({"stream": 2, "sequence": 1, "health": {"ts_ms": _times(seed), **_values(seed)}})


def _lua_text(value: bytes) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in value) + '"'


def _lua(devices: Sequence[dict[str, Any]], first_sequence: int) -> str:
    """A wrk script: request n is the next batch of device n modulo their number."""
    parts = [_msgpack_parts(seed) for seed in range(BODIES)]
    sizes = {len(before) + 8 + len(after) for before, after in parts}
    assert len(sizes) == 1, "all bodies must have one length"
    heads = [
        f"POST {device['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/msgpack\r\n"
        f"Authorization: Bearer {device['token']}\r\nContent-Length: {min(sizes)}\r\n\r\n".encode()
        for device in devices
    ]
    return "\n".join(
        [
            "local heads = {" + ",".join(_lua_text(head) for head in heads) + "}",
            "local befores = {" + ",".join(_lua_text(before) for before, _ in parts) + "}",
            "local afters = {" + ",".join(_lua_text(after) for _, after in parts) + "}",
            "local n = -1",
            "function request()",
            "  n = n + 1",
            f"  local s = math.floor(n / #heads) + {first_sequence}",
            "  local high, low = math.floor(s / 65536), s % 65536",
            "  local sequence = string.char(0, 0, 0, 0, math.floor(high / 256) % 256, high % 256,",
            "    math.floor(low / 256), low % 256)",
            "  local b = n % #afters + 1",
            "  return heads[n % #heads + 1] .. befores[b] .. sequence .. afters[b]",
            "end",
        ]
    )


def _wrk(base_url: str, script: str, connections: int) -> tuple[float, int]:
    """Requests per second, and how many were answered. Every answer must be a success."""
    wrk = find("wrk")
    if wrk is None:
        raise NotMeasurableError("wrk is not here, and only it can number the batches fast enough")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = [str(wrk), "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "10s", "-s", file.name, base_url]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", result.stdout)
    total = re.search(r"(\d+) requests in", result.stdout)
    errors = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", result.stdout)
    if result.returncode or rate is None or total is None or errors:
        raise NotMeasurableError(f"wrk: {errors.group(0) if errors else result.stderr.strip() or result.stdout}")
    return float(rate.group(1)), int(total.group(1))


class _Bench:
    """An installation with devices, and runs against it. Every run starts with an empty table."""

    def __init__(self, made: Installation) -> None:
        self.installation = made
        self.devices: list[dict[str, Any]] = json.loads(
            made.run_python("-m", "benchmarks.comparators.ingest_devices", str(DEVICES))
        )
        self._sequence = 1
        self._copy_blobs = list(_copy_blobs())

    def connect(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        return self.installation.cluster.connection(database="flotilla", role="flotilla")

    def _stored(self) -> int:
        with self.connect() as connection:
            row = connection.execute("SELECT count(*) FROM telemetry_healthsample").fetchone()
        assert row is not None
        return int(row[0])

    def _empty(self) -> None:
        with self.connect() as connection:
            connection.execute("TRUNCATE telemetry_healthsample")
            connection.commit()

    def product(self, base_url: str) -> Speed:
        """Rows per second through the product's door, each acknowledged after its commit."""
        self._empty()
        rate, answered = _wrk(base_url, _lua(self.devices, self._sequence), CONNECTIONS)
        # The next run goes on above every sequence this one can have used.
        self._sequence += answered // DEVICES + CONNECTIONS
        self._agree(answered, CONNECTIONS)
        is_bound = load.calibration(SECONDS, CONNECTIONS) < load.HEADROOM * rate
        return Speed(rate * ROWS, is_generator_bound=is_bound)

    def usual(self, base_url: str) -> Speed:
        """Rows per second through the comparator's door."""
        self._empty()
        requests = [
            load.Request(
                device["path"],
                method="POST",
                headers={"Authorization": f"Bearer {device['token']}", "Content-Type": "application/json"},
                body=_json_body(index),
            )
            for index, device in enumerate(self.devices[:BODIES])
        ]
        speed = load.measure(base_url, requests, seconds=SECONDS, connections=DRF_CONNECTIONS)
        return Speed(speed.per_second * ROWS, is_generator_bound=speed.is_generator_bound)

    def copy_limit(self) -> Speed:
        """Rows per second of one connection that does nothing but binary COPY, 10,000 rows a commit.

        As long as the product's run, so that both write as much and meet the same flushes of the log.
        """
        self._empty()
        with self.connect() as connection:
            rows, started = 0, time.perf_counter()
            while (seconds := time.perf_counter() - started) < SECONDS:
                with connection.cursor() as cursor, cursor.copy(COPY_HEALTH) as copy:
                    copy.write(self._copy_blobs[rows // COPY_ROWS % COPY_COMMITS])
                connection.commit()
                rows += COPY_ROWS
            return Speed.of(rows, seconds)

    def _agree(self, answered: int, connections: int) -> None:
        stored = self._stored()
        least, most = answered * ROWS, (answered + _MARGIN * connections) * ROWS
        if not least <= stored <= most:
            raise RuntimeError(f"{answered} batches were acknowledged, {stored} rows are stored")


def _copy_blobs() -> Iterator[bytes]:
    """The limit's commits, already in COPY's binary form, as the product makes it: only the server works."""
    bodies = [(_times(seed), list(_values(seed).values())) for seed in range(BODIES)]
    for commit in range(COPY_COMMITS):
        devices = range(commit * COPY_ROWS // ROWS, (commit + 1) * COPY_ROWS // ROWS)
        parts = [HealthPart(1 + device % DEVICES, *bodies[device % BODIES]) for device in devices]
        yield b"".join(health_copy(parts))


@contextmanager
def _gunicorn(made: Installation) -> Iterator[str]:
    """The comparator in two synchronous workers, one per core of the reference machine; yields its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "gunicorn", "benchmarks.comparators.drf_ingest:application"),
        *("--workers", "2", "--bind", f"127.0.0.1:{port}", "--log-level", "critical", "--keep-alive", "30"),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=made.environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - prctl only
    )
    try:
        deadline = time.monotonic() + _START_DEADLINE_S
        while True:
            try:
                httpx.get(url, timeout=2, trust_env=False)
                break
            except httpx.HTTPError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the comparator did not start") from None
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@ratio("ingest.vs_copy_limit", against="one connection that only runs binary COPY, 10,000 rows a commit, same table")
@contextmanager
def vs_copy_limit() -> Iterator[Sides]:
    """How much of what the database can take arrives through the door, decoded, checked, once and acknowledged."""
    with installation() as made:
        bench = _Bench(made)
        with made.serve() as url:
            yield lambda: bench.product(url), bench.copy_limit


@ratio("ingest.vs_drf", against="Django REST framework and bulk_create under gunicorn, 2 workers, same table")
@contextmanager
def vs_drf() -> Iterator[Sides]:
    """Rows per second against the usual way."""
    with installation() as made:
        bench = _Bench(made)
        with made.serve() as url, _gunicorn(made) as drf_url:
            yield lambda: bench.product(url), lambda: bench.usual(drf_url)


@number("ingest.lost_after_kill", unit="rows", against="rows acknowledged before and after kill -9 of the server")
def lost_after_kill() -> float:
    """Acknowledged rows missing, and rows stored twice, after five kills at random moments."""
    kills, senders = 5, 50
    with installation() as made:
        bench = _Bench(made)
        devices = [Sending(**device) for device in bench.devices[:senders]]
        with _KillableServer(made) as server:
            ledger = asyncio.run(
                send_through_kills(
                    made.address.url,
                    devices,
                    kill_and_restart=lambda: asyncio.to_thread(server.kill_and_restart),
                    kills=kills,
                    start_ms=int(time.time() * 1000) - 3_600_000,
                    choices=random.Random(),
                )
            )
        with bench.connect() as connection:
            stored = connection.execute(
                "SELECT device_id, round(extract(epoch FROM ts) * 1000)::bigint FROM telemetry_healthsample"
            ).fetchall()
    pairs = [(device_id, ts_ms) for device_id, ts_ms in stored]
    return float(ledger.lost(pairs) + ledger.doubled(pairs))


class _KillableServer:
    """The product's server; ``kill_and_restart`` is ``kill -9`` and a new process on the same address."""

    def __init__(self, made: Installation) -> None:
        self._installation = made
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path(tempfile.mkstemp(prefix="flotilla-bench-")[1])

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._log.unlink()

    def kill_and_restart(self) -> None:
        self._kill()
        self._start()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        address = self._installation.address
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "uvicorn", "config.asgi:application", "--log-level", "error"),
                    *("--host", "127.0.0.1", "--port", str(address.port), "--no-access-log", "--no-proxy-headers"),
                ],
                cwd=ROOT,
                env=self._installation.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - prctl only
            )
        deadline = time.monotonic() + _START_DEADLINE_S
        while not answers(address):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)
