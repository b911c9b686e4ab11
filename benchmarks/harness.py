"""What a figure is, and how it is measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

PAIRS = 5  # the least number of interleaved pairs behind a ratio


class NotMeasurableError(Exception):
    """The figure cannot be measured on this machine; the text says why."""


@dataclass(frozen=True)
class Speed:
    """What one run of one side gave.

    Args:
        per_second: more is better, in the same unit on both sides.
        is_generator_bound: the load generator may have been the limit, so the true speed is at least this.
    """

    per_second: float
    is_generator_bound: bool = False

    @classmethod
    def of(cls, amount: float, seconds: float) -> Speed:
        """The speed of doing ``amount`` of something within ``seconds``."""
        return cls(amount / seconds)


Run = Callable[[], Speed]
Sides = tuple[Run, Run]  # the product's, the comparator's


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        name: ``subject.what``; ``ONLY`` selects by its beginning.
        unit: of the value.
        against: the comparator, in a few words.
        is_long: only measured with ``FULL=1``.
        measure: gives the entry of ``bench.json``.
    """

    name: str
    unit: str
    against: str
    is_long: bool
    measure: Callable[[], dict[str, Any]] = field(repr=False)


FIGURES: dict[str, Figure] = {}


def _register(figure: Figure) -> None:
    if figure.name in FIGURES:
        raise ValueError(f"two figures are named {figure.name}")
    FIGURES[figure.name] = figure


def ratio(
    name: str, *, against: str, pairs: int = PAIRS, is_long: bool = False
) -> Callable[[Callable[[], AbstractContextManager[Sides]]], Callable[[], AbstractContextManager[Sides]]]:
    """Register a ratio: the decorated context manager makes both sides ready and yields ``(ours, theirs)``.

    Args:
        name: of the figure.
        against: what the product is compared with.
        pairs: how many interleaved pairs; at least 5.
        is_long: only with ``FULL=1``.
    """
    if pairs < PAIRS:
        raise ValueError(f"a ratio needs at least {PAIRS} pairs")

    def decorate(
        sides: Callable[[], AbstractContextManager[Sides]],
    ) -> Callable[[], AbstractContextManager[Sides]]:
        def measure() -> dict[str, Any]:
            with sides() as (ours, theirs):
                return interleaved(ours, theirs, pairs=pairs)

        _register(Figure(name=name, unit="x", against=against, is_long=is_long, measure=measure))
        return sides

    return decorate


def number(
    name: str, *, unit: str, against: str = "", is_long: bool = False
) -> Callable[[Callable[[], float]], Callable[[], float]]:
    """Register a plain number, such as how many samples were lost; the decorated function gives it."""

    def decorate(function: Callable[[], float]) -> Callable[[], float]:
        def measure() -> dict[str, Any]:
            return {"value": function(), "runs": 1}

        _register(Figure(name=name, unit=unit, against=against, is_long=is_long, measure=measure))
        return function

    return decorate


def interleaved(ours: Run, theirs: Run, *, pairs: int) -> dict[str, Any]:
    """Measure two sides in turn, after one unmeasured pair; who goes first alternates.

    Returns:
        ``value`` (median of the pairs' ratios, 3 digits), ``runs``, ``samples``, and ``generator_bound`` when the load
        generator may have held the product back: then the value is a lower bound.
    """
    ours()
    theirs()
    ratios = []
    is_bound = False
    for index in range(pairs):
        if index % 2:
            other, own = theirs(), ours()
        else:
            own, other = ours(), theirs()
        if other.is_generator_bound:
            raise NotMeasurableError("the load generator is slower than the comparator")
        is_bound = is_bound or own.is_generator_bound
        ratios.append(own.per_second / other.per_second)
    entry: dict[str, Any] = {
        "value": float(f"{statistics.median(ratios):.3g}"),
        "runs": pairs,
        "samples": [float(f"{value:.3g}") for value in ratios],
    }
    return entry | ({"generator_bound": True} if is_bound else {})
