"""Starts the database and the product's processes, keeps them running, and ends them all.

One thread, one loop: it sleeps until a signal arrives, a child ends, or a restart is due.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.embedded import logs, postgres
from config.embedded.child import Child, spawn
from config.embedded.console import StartError, Step, say
from config.embedded.credentials import Login, login_load, login_store
from config.embedded.death import die_with_parent
from config.embedded.family import end_family
from config.embedded.postgres import Cluster, PostgresError
from config.embedded.processes import (
    NEIGHBOUR,
    Address,
    ProcessSpec,
    free_port,
    process_table,
    product_environment,
    story_table,
)
from config.embedded.signals import StopSignals
from config.embedded.state import ROOT, Lock, State, digest, read_json, write_private
from config.embedded.steps import run_step

LONGEST_SLEEP_S = 5.0
FIRST_ANSWER_DEADLINE_S = 120.0
PREVIOUS_RUN_PATIENCE_S = 30.0


@dataclass
class Supervisor:
    """One run of an embedded installation.

    Args:
        state: its folders.
        address: where its web server listens.
        signals: requests to stop.
        table: its processes beside the database.
        manage_program: knows ``migrate`` and ``flotilla_init``.
    """

    state: State
    address: Address
    signals: StopSignals
    table: Callable[[State, Address], list[ProcessSpec]] = process_table
    manage_program: Path = ROOT / "manage.py"
    run_id: str = field(default_factory=lambda: secrets.token_hex(8))
    children: list[Child] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.state.postgres)
        self._lock = Lock(self.state.root / "supervisor.lock")
        self._reaper: subprocess.Popen[bytes] | None = None
        self._reaper_pipe = -1
        self._waiting_for_web: list[ProcessSpec] = []
        self._written: dict[str, Any] = {}
        # Started by make: when make is killed we are not wanted either.
        self._parent = os.getppid() if "MAKELEVEL" in os.environ else None

    def run(self, *, reset: bool) -> int:
        """Start, supervise until asked to stop, stop; returns the exit status.

        Raises:
            StartError: starting is impossible; nothing is left running.
        """
        self.signals.install()
        try:
            with self.signals.interrupting():
                self._take_over(reset=reset)
                login = self._start()
            self._supervise(login)
        except KeyboardInterrupt:
            pass
        except PostgresError as error:
            raise StartError(str(error), log=self.state.logs / "postgres.log") from error
        finally:
            self._stop()
        return 0

    # --- Start ------------------------------------------------------------------------------------

    def _take_over(self, *, reset: bool) -> None:
        """Become the only run of this installation, and remove what an earlier one left."""
        self.state.prepare()
        if not self._lock.acquire(patience_s=0.5):
            holder = self._lock.holder()
            if holder is not None and _is_alive(holder):
                raise StartError(f"this installation runs already (process {holder}); stop it first")
            with Step("Previous run ends"):
                if not self._lock.acquire(patience_s=PREVIOUS_RUN_PATIENCE_S):
                    raise StartError("the previous run does not end; restart the machine or end its processes")
        self.address.check_free()
        previous = read_json(self.state.processes_json).get("run")
        if isinstance(previous, str):
            end_family(previous)
        postgres.clear_leftovers(self.cluster)
        if reset:
            self.state.reset()
            self.state.prepare()
        self.state.demo_json.unlink(missing_ok=True)
        # Messages are only nudges; the work they named is in the database and is nudged again.
        for message in (self.state.broker / "messages").iterdir():
            message.unlink(missing_ok=True)

    def _start(self) -> Login:
        control_port = free_port() if self.table is story_table else 0
        self.environment = product_environment(self.state, self.cluster, self.address, self.run_id, control_port)
        self._record()
        self._start_reaper()
        with Step("Database") as step:
            for folder in postgres.prepare(self.cluster):
                say(f"  the database's user {postgres.SERVER_USER} may now pass through {folder}")
            database = self._database_child()
            self.children.append(database)
            database.start()
            self._record()
            if database.process is None:
                raise StartError("the database cannot be started", log=database.log)
            postgres.wait_until_ready(self.cluster, database.process, on_wait=step.tick)
            postgres.ensure_database(self.cluster)
        self._bring_tables_up_to_date()
        login = login_load(self.state)
        if login is None:
            login = self._login("First organization", "login", "--organization", "demo", "--username", "admin")
        if control_port and login_load(self.state, NEIGHBOUR) is None:
            # Who sees nothing of the first; its one device is enrolled by the demo, with this login.
            name = ("--organization", NEIGHBOUR, "--name", "Neighbour", "--username", NEIGHBOUR)
            self._login("Second organization", NEIGHBOUR, *name)
        for spec in self.table(self.state, self.address):
            if spec.needs_web:
                self._waiting_for_web.append(spec)
            else:
                self._add(spec)
        self._record()
        return login

    def _start_reaper(self) -> None:
        reader, self._reaper_pipe = os.pipe()
        try:
            self._reaper = subprocess.Popen(
                [sys.executable, "-m", "config.embedded.reaper", str(self.state.root), self.run_id],
                cwd=ROOT,
                stdin=reader,
                start_new_session=True,
                pass_fds=(self._lock.descriptor,),
            )
        finally:
            os.close(reader)

    def _database_child(self) -> Child:
        def start(*, output: int) -> subprocess.Popen[bytes]:
            postgres.clear_leftovers(self.cluster)
            return postgres.start(self.cluster, output=output, preexec_fn=die_with_parent(signal.SIGINT))

        return Child(
            name="postgres",
            log=self.state.logs / "postgres.log",
            starter=start,
            announce=say,
        )

    def _manage(self, title: str, *arguments: str, keeps_output: bool = False) -> bytes:
        return run_step(
            title,
            [sys.executable, str(self.manage_program), *arguments],
            log=self.state.logs / "manage.log",
            cwd=ROOT,
            environment=self.environment,
            keeps_output=keeps_output,
        )

    def _bring_tables_up_to_date(self) -> None:
        """Migrate, unless this database has seen these very migrations: asking Django takes seconds of each start."""
        folders = sorted(ROOT.glob("*/migrations/*.py"))
        seen = {"migrations": digest([*folders, ROOT / "requirements.txt"])}
        if read_json(self.state.tables_json) != seen:
            self._manage("Tables", "migrate", "--no-input")
            write_private(self.state.tables_json, json.dumps(seen))

    def _login(self, title: str, file: str, *arguments: str) -> Login:
        answer = self._manage(title, "flotilla_init", *arguments, "--renew", keeps_output=True)
        try:
            return login_store(self.state, answer, file)
        except ValueError as error:
            raise StartError("manage.py flotilla_init gave no login") from error

    def _add(self, spec: ProcessSpec) -> None:
        child = Child(
            name=spec.name,
            log=self.state.logs / f"{spec.name}.log",
            starter=spawn(spec, self.environment),
            announce=say,
            patience_s=spec.patience_s,
            stop_order=spec.stop_order,
        )
        self.children.append(child)
        child.start()

    # --- Run --------------------------------------------------------------------------------------

    def _supervise(self, login: Login) -> None:
        self._wait_for_web()
        self._write_demo_json(login)
        for spec in self._waiting_for_web:
            self._add(spec)
        self._record()
        self._greet(login)
        while not self.signals.count and not self._is_orphan():
            self._watch()
            restarts = [child.seconds_to_restart() for child in self.children]
            self.signals.wait(min([LONGEST_SLEEP_S, *(due for due in restarts if due is not None)]))

    def _wait_for_web(self) -> None:
        log = self.state.logs / "web.log"
        with Step("Server") as step:
            deadline = time.monotonic() + FIRST_ANSWER_DEADLINE_S
            while True:
                if self.signals.count or self._is_orphan():
                    raise KeyboardInterrupt
                self._watch()
                if answers(self.address):
                    return
                if time.monotonic() > deadline:
                    raise StartError("the server does not answer", log=log)
                self.signals.wait(0.1)
                step.tick()

    def _watch(self) -> None:
        changed = [child.watch() for child in self.children]
        if any(changed):
            self._record()
        for child in self.children:
            logs.rotate(child.log)

    def _is_orphan(self) -> bool:
        return self._parent is not None and os.getppid() != self._parent

    def _record(self) -> None:
        """Write ``processes.json``: for people, and for whoever cleans up after us."""
        record = {
            "run": self.run_id,
            "supervisor": os.getpid(),
            "processes": {child.name: child.report() for child in self.children},
        }
        if record != self._written:
            write_private(self.state.processes_json, json.dumps(record, indent=1))
            self._written = record

    def _write_demo_json(self, login: Login) -> None:
        content = {
            "url": self.address.url,
            "username": login.username,
            "password": login.password,
            "api_token": login.api_token,
        }
        write_private(self.state.demo_json, json.dumps(content, indent=1) + "\n")

    def _greet(self, login: Login) -> None:
        say("")
        say(f"Flotilla is ready: {self.address.url}")
        say(f"  user      {login.username}")
        say(f"  password  {login.password}")
        say(f"  data      {self.state.root}  (make demo RESET=1 starts over)")
        say("  stop      Ctrl-C; a second Ctrl-C kills")
        say("")

    # --- Stop -------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """End everything, the database last. A further request to stop kills at once."""
        asked = self.signals.count
        database = [child for child in self.children if child.name == "postgres"]
        others = [child for child in self.children if child.name != "postgres"]
        if self.children:
            say("stopping ...")
        for order in sorted({child.stop_order for child in others}):
            self._end([child for child in others if child.stop_order == order], asked)
        sessions = [child.process.pid for child in others if child.process is not None]
        survivors = end_family(self.run_id, sessions)
        for child in database:
            if child.process is not None:
                postgres.stop(child.process, deadline_s=20 if self.signals.count <= asked else 0)
        with contextlib.suppress(OSError):
            self.state.demo_json.unlink(missing_ok=True)
        if self._reaper is not None:
            os.close(self._reaper_pipe)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._reaper.wait(30)
        self._lock.release()
        if self.children:
            left = ", ".join(str(process.pid) for process in survivors)
            say(f"processes that do not end: {left}" if left else "stopped; nothing is left running")

    def _end(self, children: list[Child], asked: int) -> None:
        """Ask some processes to end, wait within their patience, then kill them with all they started."""
        started = time.monotonic()
        for child in children:
            child.ask_to_end()
        waiting = list(children)
        while waiting:
            self.signals.wait(0.1)
            elapsed = time.monotonic() - started
            for child in list(waiting):
                if child.has_ended() or elapsed > child.patience_s or self.signals.count > asked:
                    child.kill()
                    waiting.remove(child)


def answers(address: Address) -> bool:
    """Whether the web server says that it is alive."""
    connection = http.client.HTTPConnection(address.local_host, address.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
