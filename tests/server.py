"""The real server for tests: ``config.asgi`` under uvicorn, in a process of its own, on the test's database."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from django.db import connection

from config.embedded.death import die_with_parent

START_DEADLINE_S = 60
ROOT = Path(__file__).resolve().parent.parent


class Server:
    """One server process; it can be killed and started again on the same address.

    Args:
        log: takes its output; shown when it does not start.
    """

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "uvicorn", "config.asgi:application"),
                    *("--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"),
                    *("--no-access-log", "--no-proxy-headers", "--timeout-graceful-shutdown", "2"),
                ],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - prctl only
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                if httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        """Ours, with the test's database instead of the one the settings name."""
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        return {
            **os.environ,
            "DATABASE_URL": url,
            "FLOTILLA_PUBLIC_URL": self.url,
            "DEVICE_URL": self.url,
            "FLOTILLA_ALLOWED_HOSTS": "127.0.0.1,localhost",
        }

    def stop(self) -> None:
        """Ask it to end, and end it."""
        self._end(signal.SIGTERM, patience_s=10)

    def kill(self) -> None:
        """``kill -9``."""
        self._end(signal.SIGKILL, patience_s=10)

    def _end(self, number: signal.Signals, *, patience_s: float) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
