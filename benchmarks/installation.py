"""An installation to measure: durable embedded PostgreSQL, migrated, and the product's server processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.embedded import postgres
from config.embedded.death import die_with_parent
from config.embedded.postgres import Cluster
from config.embedded.processes import Address, free_port, product_environment
from config.embedded.state import DEFAULT_STATE, ROOT, State
from config.embedded.supervisor import answers

START_DEADLINE_S = 60


@dataclass(frozen=True)
class Installation:
    """What a figure works with.

    Args:
        cluster: the database server; ``cluster.connection(database="flotilla", role="flotilla")`` opens it.
        address: where :meth:`serve` listens.
        environment: the product's variables.
    """

    cluster: Cluster
    address: Address
    environment: dict[str, str]

    def run_python(self, *arguments: str) -> bytes:
        """Run this environment's Python with the product's variables; returns what it printed.

        Raises:
            subprocess.CalledProcessError: it failed; its error output is on ours.
        """
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, check=True
        ).stdout

    @contextmanager
    def serve(
        self, application: str = "config.asgi:application", variables: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """Run an ASGI application in one uvicorn process, as ``make demo`` does; yields its address."""
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "uvicorn", application, "--log-level", "error", "--no-access-log"),
                    *("--host", "127.0.0.1", "--port", str(self.address.port), "--no-proxy-headers"),
                ],
                cwd=ROOT,
                env={**self.environment, **(variables or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - prctl only
            )
            try:
                deadline = time.monotonic() + START_DEADLINE_S
                while not answers(self.address):
                    if process.poll() is not None or time.monotonic() > deadline:
                        log.seek(0)
                        raise RuntimeError(f"the server did not start:\n{log.read()[-2000:].decode()}")
                    time.sleep(0.05)
                yield self.address.url
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def installation(*, is_migrated: bool = True) -> Iterator[Installation]:
    """A fresh installation on this disk, with the database settings of ``make demo``; removed at the end."""
    DEFAULT_STATE.mkdir(mode=0o700, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="bench-", dir=DEFAULT_STATE))
    state = State(root / "state")
    state.prepare()
    cluster = Cluster(state.postgres)
    address = Address("127.0.0.1", free_port())
    try:
        postgres.prepare(cluster)
        with (state.logs / "postgres.log").open("wb") as log:
            server = postgres.start(cluster, output=log.fileno(), preexec_fn=die_with_parent(signal.SIGINT))
        try:
            postgres.wait_until_ready(cluster, server)
            postgres.ensure_database(cluster)
            environment = product_environment(state, cluster, address, f"bench-{os.getpid()}", 0)
            made = Installation(cluster=cluster, address=address, environment=environment)
            if is_migrated:
                made.run_python("manage.py", "migrate", "--no-input", "--verbosity", "0")
            yield made
        finally:
            postgres.stop(server)
    finally:
        shutil.rmtree(root, ignore_errors=True)
