"""Polls that find nothing new: answered from memory, against a Django view and the ORM.

Every connection goes through 2,000 devices, each with its own token and the ``ETag`` of its last answer; every answer
is 304 on both sides.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from benchmarks import load
from benchmarks.harness import Sides, Speed, ratio
from benchmarks.installation import Installation, installation
from config.embedded.death import die_with_parent
from config.embedded.processes import free_port
from config.embedded.state import ROOT

DEVICES = 2_000
SECONDS = 3
CONNECTIONS = 64
ORM_CONNECTIONS = 16  # more only queue: a synchronous worker answers one request at a time
_START_DEADLINE_S = 60
_SIGTERM = 15


def _requests(url: str, devices: list[dict[str, Any]]) -> list[load.Request]:
    """One request per device, with the tag of the answer it got a moment ago."""
    requests = []
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        for device in devices:
            path = device["path"].replace("/agent/v1/", "/controller/v1/").removesuffix("/telemetry")
            headers = {"Authorization": f"Bearer {device['token']}"}
            answer = client.get(path, headers=headers)
            answer.raise_for_status()
            requests.append(load.Request(path, headers={**headers, "If-None-Match": answer.headers["etag"]}))
        again = client.get(requests[0].path, headers=dict(requests[0].headers))
        if again.status_code != httpx.codes.NOT_MODIFIED:
            raise RuntimeError(f"an unchanged poll was answered {again.status_code}")
    return requests


@contextmanager
def _gunicorn(made: Installation) -> Iterator[str]:
    """The comparator in two synchronous workers, one per core of the reference machine; yields its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "gunicorn", "benchmarks.comparators.orm_poll:application"),
        *("--workers", "2", "--bind", f"127.0.0.1:{port}", "--log-level", "critical", "--keep-alive", "30"),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=made.environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(_SIGTERM),  # noqa: PLW1509 - prctl only
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


@ratio("fleet.poll_unchanged_vs_orm", against="a Django view and the ORM under gunicorn, 2 workers, same answers")
@contextmanager
def poll_unchanged_vs_orm() -> Iterator[Sides]:
    """Unchanged polls answered per second, one server process."""
    with installation() as made:
        devices = json.loads(made.run_python("-m", "benchmarks.comparators.ingest_devices", str(DEVICES)))
        with made.serve() as url, _gunicorn(made) as orm_url:
            ours, theirs = _requests(url, devices), _requests(orm_url, devices)

            def product() -> Speed:
                return load.measure(url, ours, seconds=SECONDS, connections=CONNECTIONS)

            def usual() -> Speed:
                return load.measure(orm_url, theirs, seconds=SECONDS, connections=ORM_CONNECTIONS)

            yield product, usual
