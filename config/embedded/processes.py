"""The processes of an embedded installation, in one table."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import psutil

from config.embedded.console import StartError
from config.embedded.credentials import login_path, secret_file
from config.embedded.postgres import Cluster
from config.embedded.state import ROOT, State

# What a person's shell may carry for other programs, or for another Flotilla, never reaches ours.
FOREIGN_PREFIXES = ("FLOTILLA_", "PG", "DJANGO_", "CELERY_", "ARTIFACT_", "UVICORN_", "MQTT_")
FOREIGN_NAMES = (
    "DATABASE_URL",
    "LIVE_DATABASE_URL",
    "DEVICE_URL",
    "MAKEFLAGS",
    "MAKELEVEL",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
)
# These a person may set for the embedded installation too (docs/operators/configuration.md).
OWN_NAMES = (
    *("FLOTILLA_PUBLIC_URL", "FLOTILLA_ALLOWED_HOSTS", "DEVICE_URL", "FLOTILLA_LOG_LEVEL"),
    *("FLOTILLA_UPLOAD_MAX_MB", "FLOTILLA_DB_POOL", "FLOTILLA_BEHIND_TLS_PROXY"),
    "FLOTILLA_DEMO_DEVICES",
    *("FLOTILLA_POLL_INTERVAL_S", "FLOTILLA_RETENTION_HOURS", "FLOTILLA_PARTITION_HOURS", "FLOTILLA_DRIFT_WINDOW_S"),
    *("FLOTILLA_HEALTH_INTERVAL_S", "FLOTILLA_WINDOW_INTERVAL_S", "FLOTILLA_REPORT_INTERVAL_S"),
)
# The story is told in minutes: devices ask often, drift is looked at over minutes. Retention keeps a weekend small.
DEMO_PACE = {
    "FLOTILLA_POLL_INTERVAL_S": "3",
    "FLOTILLA_HEALTH_INTERVAL_S": "5",
    "FLOTILLA_WINDOW_INTERVAL_S": "4",
    "FLOTILLA_REPORT_INTERVAL_S": "30",
    "FLOTILLA_DRIFT_WINDOW_S": "60",
    "FLOTILLA_RETENTION_HOURS": "24",
    "FLOTILLA_PARTITION_HOURS": "1",
}
MAXIMUM_PORT = 65535
NEIGHBOUR = "neighbour"  # the demo's second organization: slug, person, and name of its login's file
RUN_MARK = "FLOTILLA_RUN"  # in the environment of every descendant, so that none is overlooked at the end


@dataclass(frozen=True)
class ProcessSpec:
    """One supervised process.

    Args:
        name: what people and log files call it.
        command: program and arguments.
        stop_order: lower ones are asked to end first; equal ones together.
        patience_s: how long it may take to end before it is killed.
        needs_web: started only once the web server answers, which it does sooner alone.
        environment: variables beside those all share.
    """

    name: str
    command: tuple[str, ...]
    stop_order: int = 1
    patience_s: float = 10
    needs_web: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Address:
    """Where the web server listens and what it is called.

    Args:
        bind: an IP address of this machine.
        port: 1 to 65535.
    """

    bind: str
    port: int

    @property
    def _is_any(self) -> bool:
        return self.bind in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound

    @property
    def local_host(self) -> str:
        """The host under which this machine reaches the server."""
        if self._is_any:
            return "127.0.0.1" if self.bind == "0.0.0.0" else "::1"  # noqa: S104
        return self.bind

    @property
    def url(self) -> str:
        """The address to open in a browser; of this machine in the network when it listens everywhere."""
        host = _name_of_this_machine() if self._is_any else self.local_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def allowed_hosts(self) -> list[str]:
        """Names by which the server may be called: nothing a stranger can make up."""
        names = {"127.0.0.1", "localhost", "[::1]"}
        if self._is_any:
            names.add(socket.gethostname().lower())
            for addresses in psutil.net_if_addrs().values():
                for address in addresses:
                    if address.family == socket.AF_INET:
                        names.add(address.address)
                    elif address.family == socket.AF_INET6:
                        names.add(f"[{address.address.partition('%')[0]}]")
        else:
            names.add(f"[{self.bind}]" if ":" in self.bind else self.bind)
        return sorted(names)

    def check_free(self) -> None:
        """Make sure the port can be had.

        Raises:
            StartError: it is taken, or the address is not one of this machine.
        """
        family = socket.AF_INET6 if ":" in self.bind else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
            try:
                probe.bind((self.bind, self.port))
                probe.listen(1)
            except OSError as error:
                other = self.port + 1 if self.port < MAXIMUM_PORT else self.port - 1
                raise StartError(
                    f"cannot listen on {self.bind} port {self.port}: {error.strerror}; "
                    f"take another port: make demo FLOTILLA_PORT={other}"
                ) from error


def _name_of_this_machine() -> str:
    """What others may call this machine: its name where it resolves, else its first address."""
    with contextlib.suppress(OSError):
        socket.getaddrinfo(socket.gethostname(), None)
        return socket.gethostname()
    addresses = [
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == socket.AF_INET and not entry.address.startswith("127.")
    ]
    return addresses[0] if addresses else "127.0.0.1"


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def product_environment(
    state: State, cluster: Cluster, address: Address, run: str, control_port: int
) -> dict[str, str]:
    """All variables of the product's processes. Secrets travel as paths of files, never as values.

    Args:
        state: the installation.
        cluster: its database.
        address: where it listens.
        run: the mark of this run.
        control_port: loopback port of the demo's story; 0 when there is none.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN_PREFIXES) and name not in FOREIGN_NAMES
    }
    environment |= {
        RUN_MARK: run,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "FLOTILLA_SECRET_KEY_FILE": str(secret_file(state, "secret_key")),
        "FLOTILLA_PUBLIC_URL": address.url,
        "FLOTILLA_ALLOWED_HOSTS": ",".join(address.allowed_hosts()),
        "FLOTILLA_KEYS_DIR": str(state.keys),
        "FLOTILLA_UPLOAD_DIR": str(state.uploads),
        "FLOTILLA_BROKER_DIR": str(state.broker),
        "FLOTILLA_LOG_LEVEL": "WARNING",
        "DATABASE_URL": cluster.url(),
        "ARTIFACT_STORES": f"main=local://{quote(str(state.artifacts))}",
        "CELERY_BROKER_URL": "filesystem://",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",  # glibc's arenas per thread double the memory of idle workers
    }
    if control_port:
        environment |= {
            "FLOTILLA_DEMO_CONTROL_URL": f"http://127.0.0.1:{control_port}",
            "FLOTILLA_DEMO_CONTROL_SECRET_FILE": str(secret_file(state, "demo_control")),
            **DEMO_PACE,
        }
    for name in OWN_NAMES:
        if name in os.environ:
            environment[name] = os.environ[name]
    return environment


def demo_is_present() -> bool:
    """Whether the demo's story is part of this checkout."""
    return (ROOT / "demo" / "__main__.py").exists()


def process_table(state: State, address: Address) -> list[ProcessSpec]:
    """The product's processes beside the database, in starting order."""
    python = sys.executable
    celery = (python, "-m", "celery", "-A", "config.celery")
    worker = (
        *(*celery, "worker", "--pool", "prefork", "--concurrency", "1", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    return [
        ProcessSpec(
            name="web",
            command=(
                *(python, "-m", "uvicorn", "config.asgi:application"),
                *("--host", address.bind, "--port", str(address.port), "--log-level", "warning"),
                *("--no-access-log", "--no-proxy-headers", "--no-server-header"),
                *("--timeout-graceful-shutdown", "5"),
            ),
        ),
        ProcessSpec(
            name="worker-main",
            command=(*worker, "--queues", "rollouts,default", "--hostname", "main@localhost"),
            needs_web=True,
        ),
        ProcessSpec(
            name="worker-artifacts",
            command=(*worker, "--queues", "artifacts,telemetry", "--hostname", "artifacts@localhost"),
            needs_web=True,
        ),
        ProcessSpec(name="beat", command=(*celery, "beat", "--pidfile=", "--loglevel", "WARNING"), needs_web=True),
    ]


def story_table(state: State, address: Address) -> list[ProcessSpec]:
    """The product's processes and the demo's story, which starts once the server answers."""
    story = ProcessSpec(
        name="demo",
        command=(sys.executable, "-m", "demo"),
        stop_order=0,
        needs_web=True,
        environment={
            "FLOTILLA_DEMO_JSON": str(state.demo_json),
            "FLOTILLA_DEMO_NEIGHBOUR_JSON": str(login_path(state, NEIGHBOUR)),
        },
    )
    return [*process_table(state, address), story]
