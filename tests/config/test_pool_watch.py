"""A worker that lost a process of its pool starts afresh, and one whose processes leave as planned stays."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config import pool_watch
from tests.config.worker import running_worker

in_database = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_process_killed_by_a_signal_ends_the_worker(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    process: Any = SimpleNamespace(pid=1, exitcode=-number)
    pool_watch.end_if_killed(process)
    assert statuses == [pool_watch.EXIT_STATUS]


@pytest.mark.parametrize("status", [0, 1, 155])  # billiard's processes leave with 155 when their tasks are used up
def test_a_process_that_left_by_itself_does_not(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    process: Any = SimpleNamespace(pid=1, exitcode=status)
    pool_watch.end_if_killed(process)
    assert statuses == []


@in_database
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_submitted_after_a_kill_in_the_pool_is_done(
    tmp_path: Path, organization: Any, number: signal.Signals
) -> None:
    with running_worker(tmp_path) as worker:
        worker.until(worker.does(worker.submit(organization.pk)))
        (waiting,) = worker.pool()
        waiting.send_signal(number)
        worker.until(worker.does(worker.submit(organization.pk)))

        assert worker.child.restarts == 1
        assert f"({waiting.pid}) was killed by signal {number:d}" in worker.child.log.read_text()


@in_database
def test_planned_exits_leave_the_worker_where_it_is(tmp_path: Path, organization: Any) -> None:
    with running_worker(tmp_path, "--max-tasks-per-child", "1") as worker:
        before = worker.process
        for _ in range(3):
            (process,) = worker.until(worker.pool)
            worker.until(worker.does(worker.submit(organization.pk)))
            worker.until(lambda process=process: not process.is_running())

        assert (worker.child.restarts, worker.process) == (0, before)
        assert worker.child.process is not None
        worker.child.ask_to_end()
        assert worker.child.process.wait(30) == 0
