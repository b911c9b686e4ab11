"""A figure is a median of interleaved pairs, and never older than its last attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import harness
from benchmarks.harness import NotMeasurableError, Sides, Speed, interleaved
from benchmarks.load import Request, calibration, constant_nginx, measure
from tests.debian import find


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Figures and results of one test's own."""
    path = tmp_path / "bench.json"
    monkeypatch.setattr(harness, "FIGURES", {})
    monkeypatch.setattr(bench, "FIGURES", harness.FIGURES)
    monkeypatch.setattr(bench, "discover", lambda: None)
    monkeypatch.setattr(bench, "provide", lambda *_uses: [])
    monkeypatch.setattr(bench, "entry_put", lambda name, entry: put(name, entry, path=path))
    monkeypatch.delenv("ONLY", raising=False)
    return path


put = bench.entry_put


def test_sides_take_turns_and_the_first_pair_is_not_counted() -> None:
    order: list[str] = []
    speeds = iter([1000.0, 4.0, 2.0, 6.0, 3.0, 100.0])

    def ours() -> Speed:
        order.append("ours")
        return Speed(next(speeds))

    def theirs() -> Speed:
        order.append("theirs")
        return Speed(2.0)

    entry = interleaved(ours, theirs, pairs=5)

    assert entry["value"] == 2.0  # the median of 2, 1, 3, 1.5 and 50
    assert entry["runs"] == 5
    assert order[:6] == ["ours", "theirs", "ours", "theirs", "theirs", "ours"]
    assert order.count("ours") == order.count("theirs") == 6


def test_a_figure_held_back_by_the_generator_says_so() -> None:
    entry = interleaved(lambda: Speed(4, is_generator_bound=True), lambda: Speed(2), pairs=5)
    assert entry["value"] == 2
    assert entry["generator_bound"] is True


def test_a_comparator_held_back_by_the_generator_gives_no_figure() -> None:
    with pytest.raises(NotMeasurableError):
        interleaved(lambda: Speed(4), lambda: Speed(2, is_generator_bound=True), pairs=5)


def test_figures_are_merged_and_one_that_failed_loses_its_old_entry(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write_text(json.dumps({"other.figure": {"value": 1}, "part.broken": {"value": 9}}))

    @harness.ratio("part.fast", against="the slow way")
    @contextmanager
    def fast() -> Iterator[Sides]:
        yield lambda: Speed.of(30, 1), lambda: Speed.of(10, 1)

    @harness.number("part.broken", unit="samples")
    def broken() -> float:
        raise OSError("no disk")

    @harness.number("part.slow", unit="s", is_long=True)
    def slow() -> float:
        raise AssertionError("only with FULL=1")

    assert bench.main() == 1

    entries = json.loads(results.read_text())
    assert set(entries) == {"other.figure", "part.fast"}
    assert {key: entries["part.fast"][key] for key in ("value", "unit", "runs", "against")} == {
        "value": 3.0,
        "unit": "x",
        "runs": 5,
        "against": "the slow way",
    }
    assert capsys.readouterr().out == "part.fast 3 x\n"


def test_a_run_ended_in_the_middle_leaves_no_old_entry(results: Path) -> None:
    results.write_text(json.dumps({"other.figure": {"value": 1}, "part.endless": {"value": 9}}))

    @harness.number("part.endless", unit="s")
    def endless() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.main()
    assert set(json.loads(results.read_text())) == {"other.figure"}


def test_only_selects_by_the_beginning_of_the_name(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ingest.a", "ingest.b", "fleet.a"):
        harness.number(name, unit="s")(lambda: 1.0)
    monkeypatch.setenv("ONLY", "ingest.")
    assert bench.main() == 0
    assert set(json.loads(results.read_text())) == {"ingest.a", "ingest.b"}
    monkeypatch.setenv("ONLY", "nothing")
    assert bench.main() == 1


def test_a_name_is_given_once(results: Path) -> None:
    harness.number("part.a", unit="s")(lambda: 1.0)
    with pytest.raises(ValueError, match=r"part\.a"):
        harness.number("part.a", unit="s")(lambda: 1.0)


def test_the_generator_measures_itself_and_says_when_it_may_be_the_limit() -> None:
    """The rule, on whatever this machine measures: less than half as much again as the measured rate is too close."""
    if find("nginx") is None or (find("wrk") is None):
        pytest.skip("not here: nginx and wrk")
    own_rate = calibration(1, 16)
    assert own_rate > 100
    with constant_nginx() as url:
        speed = measure(
            url, [Request("/a"), Request("/b", "POST", {"X-A": "b"}, b'{"a": 1}')], seconds=1, connections=16
        )
    assert speed.per_second > 100
    assert speed.is_generator_bound == (own_rate < 1.5 * speed.per_second)
