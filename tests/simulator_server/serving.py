"""Serves control planes on one loopback port, for clients that need a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import Receive, Scope, Send

from tests.simulator_server.plane import ControlPlane


class PlaneHost:
    """One server for many tests; ``new_plane`` puts a fresh control plane behind it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.plane = ControlPlane(url)

    def new_plane(self) -> ControlPlane:
        self.plane = ControlPlane(self.url)
        return self.plane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.plane.app(scope, receive, send)


@contextmanager
def serving() -> Iterator[PlaneHost]:
    """A host that answers at its ``url`` within the block."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    host = PlaneHost(f"http://127.0.0.1:{listener.getsockname()[1]}")
    config = uvicorn.Config(host, log_level="critical", lifespan="off", ws="none", date_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "the control plane did not start"
        time.sleep(0.005)
    try:
        yield host
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
