"""Long forms of tests: the same test, more of it.

A test marked ``@pytest.mark.soak("name")`` takes the fixture ``soak`` and repeats what it does ``soak.scale`` times,
with ``soak.random`` for every choice. In an ordinary run the scale is 1; ``make soak ONLY=name`` makes it large,
prints seed and counts, and merges them into ``.flotilla/soak.json``. ``SOAK_SEED`` repeats a run, ``SOAK_SCALE`` sets
the scale.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from config.embedded.state import DEFAULT_STATE, Lock, read_json, write_private

RESULTS = DEFAULT_STATE / "soak.json"
LONG_SCALE = 20


def is_long_run() -> bool:
    """Whether ``make soak`` runs us."""
    return os.environ.get("SOAK") == "1"


@dataclass
class Soak:
    """One long-running test.

    Args:
        name: what ``ONLY`` selects.
        scale: how many times the ordinary amount.
        seed: of ``random``; printed, so that a run can be repeated.
    """

    name: str
    scale: int
    seed: int
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - repeatable choices, no secrets

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count that is printed at the end, such as kills or devices."""
        self.counts[what] += number


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> Iterator[Soak]:
    """The scale and the seed of a test marked ``soak``."""
    marker = request.node.get_closest_marker("soak")
    assert marker is not None, "mark the test with @pytest.mark.soak(name)"
    default_scale = LONG_SCALE if is_long_run() else 1
    run = Soak(
        name=marker.args[0],
        scale=int(os.environ.get("SOAK_SCALE", default_scale)),
        seed=int(os.environ.get("SOAK_SEED", secrets.randbelow(2**31))),
    )
    started = time.monotonic()
    yield run
    outcome = getattr(request.node, "soak_outcome", "failed")
    seconds = round(time.monotonic() - started, 1)
    result = {"seed": run.seed, "scale": run.scale, "counts": dict(run.counts), "seconds": seconds, "outcome": outcome}
    # Captured in an ordinary run, and shown there only when the test fails.
    print(f"\nsoak {run.name}: {json.dumps(result)}", flush=True)
    if is_long_run():
        _merge(run.name, result)


def _merge(name: str, result: dict[str, object]) -> None:
    lock = Lock(DEFAULT_STATE / "soak.lock")
    lock.acquire(patience_s=30)
    try:
        write_private(RESULTS, json.dumps({**read_json(RESULTS), name: result}, indent=1) + "\n")
    finally:
        lock.release()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:  # pragma: no cover - pluggy's generator protocol
    """Tell the fixture how its test ended."""
    report = yield
    if call.when == "call":
        item.soak_outcome = report.outcome  # type: ignore[attr-defined]
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a long run only the named tests take part."""
    if not is_long_run():
        return
    only = os.environ.get("ONLY", "")
    chosen = [item for item in items if (mark := item.get_closest_marker("soak")) and mark.args[0].startswith(only)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
