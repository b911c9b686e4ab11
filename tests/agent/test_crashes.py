"""The update is killed at every durable write, just before and just after it, and must come out right each
time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flotilla_agent import download, slots
from flotilla_agent.update import state
from tests.agent.conftest import Bench
from tests.simulator_server.models import publish
from tests.simulator_server.plane import ControlPlane

V1 = publish("1.0", seed=1)
V2 = publish("1.1", seed=2)
FAILING = publish("1.2", seed=2, fails_when_bright=True)

# Everything that changes the disk in a way that must survive: (module, function).
DURABLE = [
    (state, "write_atomic"),
    (slots, "write_atomic"),
    (slots, "link_atomic"),
    (slots, "folder_sync"),
    (download, "folder_sync"),
]
GOOD_WRITES = 13  # of an update that succeeds; a test counts them
BAD_WRITES = 19  # of one that is taken back in probation
REMOVAL_WRITES = 10  # of a removal, when one slot has a model; a second slot adds one


class Killed(BaseException):
    """The process ends here, whatever it was doing."""


@contextmanager
def killing(monkeypatch: pytest.MonkeyPatch, at: int | None, *, after: bool = False) -> Iterator[list[str]]:
    """Count durable writes; die at the ``at``-th, before it is made or right after."""
    made: list[str] = []

    def dying(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def write(*arguments: Any, **named: Any) -> Any:
            made.append(name)
            if len(made) == at and not after:
                raise Killed(name)
            result = function(*arguments, **named)
            if len(made) == at:
                raise Killed(name)
            return result

        return write

    with monkeypatch.context() as patch:
        for module, name in DURABLE:
            patch.setattr(module, name, dying(getattr(module, name), f"{module.__name__}.{name}"))
        yield made


@pytest.fixture
def ready(plane: ControlPlane, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(plane, tmp_path / "state")
    bench.install(V1)
    yield bench
    bench.running_agent.control_plane.close()


def _is_through(bench: Bench, action: Any, version: str) -> bool:
    slot = bench.current()
    return action.state == "closed" and bench.is_idle() and slot is not None and slot.record.version == version


def _is_removed(bench: Bench, action: Any) -> bool:
    return action.state == "closed" and bench.is_idle() and bench.current() is None


def test_the_numbers_of_writes_are_as_the_parameters_say(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with killing(monkeypatch, None) as made:
        action = ready.order(FAILING, soak_s=600.0)
        ready.until(lambda: _is_through(ready, action, "1.0"), bright=True)
    assert len(made) == BAD_WRITES, made
    with killing(monkeypatch, None) as made:
        action = ready.order(V2)
        ready.until(lambda: _is_through(ready, action, "1.1"))
    assert len(made) == GOOD_WRITES, made
    with killing(monkeypatch, None) as made:
        action = ready.order(V2, kind="remove")
        ready.until(lambda: _is_removed(ready, action))
    assert len(made) == REMOVAL_WRITES + 1, made


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, GOOD_WRITES + 1))
def test_an_update_killed_at_any_write_ends_in_the_new_version(
    ready: Bench, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool
) -> None:
    action = ready.order(V2)
    with killing(monkeypatch, at, after=after), pytest.raises(Killed):
        ready.until(lambda: _is_through(ready, action, "1.1"))
    # The instant after the power cut: one complete, sound version.
    ready.assert_works("1.0", "1.1")
    ready.start()
    ready.assert_works("1.0", "1.1")
    ready.until(lambda: _is_through(ready, action, "1.1"))
    assert action.result == "success"
    ready.assert_works("1.1")
    report = ready.device.reports[-1]
    assert (report.running[0].version, report.soak.clean) == ("1.1", True)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, REMOVAL_WRITES + 1))
def test_a_removal_killed_at_any_write_ends_without_the_model(
    ready: Bench, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool
) -> None:
    action = ready.order(V1, kind="remove")
    with killing(monkeypatch, at, after=after), pytest.raises(Killed):
        ready.until(lambda: _is_removed(ready, action))
    ready.start()
    ready.until(lambda: _is_removed(ready, action))
    assert action.result == "success"
    report = ready.device.reports[-1]
    assert (report.running, report.soak.clean) == ([], True)


@pytest.mark.parametrize("at", range(1, BAD_WRITES + 1))
def test_an_update_that_is_taken_back_and_killed_at_any_write_ends_in_the_old_version(
    ready: Bench, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    action = ready.order(FAILING, soak_s=600.0)
    with killing(monkeypatch, at), pytest.raises(Killed):
        ready.until(lambda: _is_through(ready, action, "1.0"), bright=True)
    ready.assert_works("1.0", "1.2")
    ready.start()
    ready.assert_works("1.0", "1.2")
    ready.until(lambda: _is_through(ready, action, "1.0"), bright=True)
    ready.assert_works("1.0")
    report = ready.device.reports[-1]
    assert (report.running[0].version, report.soak.clean) == ("1.0", False)
