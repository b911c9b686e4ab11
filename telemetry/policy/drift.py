"""Drift of one feature against its version's reference, for many segments at once; pure numpy.

Definitions, and why they are these, in the order they are used:

- **Groups.** The 60 bins of a numeric feature, whose edges are quantiles of the reference, make ten groups of six: the
  deciles. The outer groups are open: values below the first or above the last edge count in them. A feature of classes
  (``class``) has one group per class.
- **PSI** = sum over groups of ``(q - p) ln(q / p)``, shares floored at 1e-4 (Evidently's floor). Without any drift its
  mean is ``(G - 1)(1/n + 1/m)``; **PSI excess** is PSI less that, so that thresholds mean the same for every n.
- **JS distance**: root of the Jensen-Shannon divergence of the groups, natural logarithm (0 to 0.833). It judges
  classes, where a rare class makes PSI jump; its noise ``(G - 1)(1/n + 1/m) / 8`` is taken off likewise.
- **KS distance**: largest difference of the two distribution functions at the edges.
- **Mean shift**: difference of means over the reference's standard deviation; values outside count at the edge they
  passed.
- **p of the shape**: chi-square of homogeneity over the groups, those with fewer than 5 expected put together.
- **p of missing and outside rates**: ``exp(-n KL(k/n || r))``, Chernoff's bound of the exact binomial tail, with
  ``r = (k0 + 1) / (m + 2)`` from the reference: never too small a p, and no special functions.

Verdict: at least 300 rows, an effect beyond its bound, and a p that survives Benjamini-Hochberg at 5 % over all tests
of the evaluation. The tests take rows as independent; within a device they are not, which is why the effect must be
large too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

GROUPS: Final = 10
MINIMUM_ROWS: Final = 300
PSI_WARN, PSI_ALERT = 0.1, 0.25
# Jensen-Shannon's divergence is about PSI / 8, hence the roots of the bounds above over 8.
JS_WARN, JS_ALERT = math.sqrt(PSI_WARN / 8), math.sqrt(PSI_ALERT / 8)
RATE_WARN, RATE_ALERT = 0.02, 0.10  # more missing (or outside) values, as a share of all
FALSE_DISCOVERY_RATIO: Final = 0.05
_SHARE_FLOOR = 1e-4
_EXPECTED_MIN = 5.0

QUIET, WARN, ALERT = 0, 1, 2


@dataclass(frozen=True)
class Counts:
    """What was counted of one feature in S segments, on B bins.

    Attributes:
        bins: values per bin, int64 ``[S, B]``.
        sums: sums of the values per bin, ``[S, B]``.
        missing: missing values, ``[S]``.
        below: values below the first edge, ``[S]``.
        above: values above the last edge, ``[S]``.
    """

    bins: Ints
    sums: Floats
    missing: Ints
    below: Ints
    above: Ints

    @property
    def present(self) -> Ints:
        """Values that are not missing, ``[S]``."""
        present: Ints = self.bins.sum(axis=1) + self.below + self.above
        return present


@dataclass(frozen=True)
class Scores:
    """One feature's distances and p-values, each ``[S]``; NaN where a segment has no values."""

    row_count: Ints
    present_count: Ints
    psi: Floats
    psi_excess: Floats
    js_distance: Floats
    js_excess: Floats
    ks_distance: Floats
    p_shape: Floats
    mean_reference: float
    mean_current: Floats
    mean_shift: Floats
    missing_ratio: Floats
    missing_excess: Floats
    p_missing: Floats
    outside_ratio: Floats
    outside_excess: Floats
    p_outside: Floats
    is_categorical: bool


@dataclass(frozen=True)
class Judgement:
    """Of one cell: ``level`` 0 quiet, 1 warn, 2 alert, None for not enough data; what caused it, and its p."""

    level: int | None
    cause: str
    p_value: float | None


def drift_scores(*, edges: Floats, reference: Counts, current: Counts, is_categorical: bool) -> Scores:
    """Score S segments against one reference.

    Args:
        edges: the reference's edges, ``[B + 1]``.
        reference: the reference's counts, with one segment.
        current: the segments' counts.
        is_categorical: whether bins are classes.
    """
    p_counts, q_counts = (
        _groups(reference, is_categorical=is_categorical),
        _groups(current, is_categorical=is_categorical),
    )
    m, n = float(p_counts.sum()), q_counts.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = p_counts / m, q_counts / n[:, None]
        used = np.maximum(((p_counts > 0) | (q_counts > 0)).sum(axis=1), 1)
        noise = (used - 1) * (1 / n + 1 / m)
        psi = _psi(p, q)
        js_divergence = _js_divergence(p, q)
        mean_reference = float(_means(edges, reference)[0])
        mean_current = _means(edges, current)
        rows, present = current.present + current.missing, current.present
        missing_ratio = current.missing / rows
        outside_ratio = (current.below + current.above) / present
    reference_rows = int(reference.present[0] + reference.missing[0])
    outside = int(reference.below[0] + reference.above[0])
    return Scores(
        row_count=rows,
        present_count=present,
        psi=psi,
        psi_excess=psi - noise,
        js_distance=np.sqrt(js_divergence),
        js_excess=np.sqrt(np.maximum(js_divergence - noise / 8, 0)),
        ks_distance=_ks(reference, current),
        p_shape=_homogeneity(p_counts[0], q_counts),
        mean_reference=mean_reference,
        mean_current=mean_current,
        mean_shift=(mean_current - mean_reference) / _deviation(edges, reference),
        missing_ratio=missing_ratio,
        missing_excess=missing_ratio - int(reference.missing[0]) / max(reference_rows, 1),
        p_missing=_binomial_bound(current.missing, rows, int(reference.missing[0]), reference_rows),
        outside_ratio=outside_ratio,
        outside_excess=outside_ratio - outside / max(int(reference.present[0]), 1),
        p_outside=_binomial_bound(current.below + current.above, present, outside, int(reference.present[0])),
        is_categorical=is_categorical,
    )


def drift_judge(scores: Sequence[Scores]) -> list[list[Judgement]]:
    """Judge all cells of one evaluation together, since false discoveries are held over all of its tests.

    Args:
        scores: one entry per version and feature.

    Returns:
        For each entry one judgement per segment.
    """
    effects = [_effects(one) for one in scores]
    tested = [np.stack([one.p_shape, one.p_missing, one.p_outside]) for one in scores]
    enough = [_enough(one) for one in scores]
    p_values = np.concatenate([p[has] for p, has in zip(tested, enough, strict=True)]) if scores else np.array([])
    bound = benjamini_hochberg(p_values, FALSE_DISCOVERY_RATIO)
    judged = []
    for levels, p, has in zip(effects, tested, enough, strict=True):
        judged.append([_judgement(levels[:, at], p[:, at], has[:, at], bound) for at in range(p.shape[1])])
    return judged


_CAUSES = ("shape", "missing", "outside")


def _judgement(levels: Ints, p: Floats, has: Flags, bound: float) -> Judgement:
    found = np.where(has & (p <= bound), levels, QUIET)
    worst = int(found.argmax())  # the first of equals: the shape explains more than a rate
    if found[worst] > QUIET:
        return Judgement(level=int(found[worst]), cause=_CAUSES[worst], p_value=float(p[worst]))
    if not has[0]:
        return Judgement(level=None, cause="", p_value=None)
    return Judgement(level=QUIET, cause="", p_value=float(p[0]))


def _effects(scores: Scores) -> Ints:
    """Levels by effect alone, ``[3, S]``: shape, missing, outside."""
    shape = (
        _level(scores.js_excess, JS_WARN, JS_ALERT)
        if scores.is_categorical
        else _level(scores.psi_excess, PSI_WARN, PSI_ALERT)
    )
    return np.stack(
        [
            shape,
            _level(scores.missing_excess, RATE_WARN, RATE_ALERT),
            _level(scores.outside_excess, RATE_WARN, RATE_ALERT),
        ]
    )


def _enough(scores: Scores) -> Flags:
    """Which of the three tests have their rows, ``[3, S]``."""
    present, rows = scores.present_count >= MINIMUM_ROWS, scores.row_count >= MINIMUM_ROWS
    return np.stack([present, rows, present])


def _level(effect: Floats, warn: float, alert: float) -> Ints:
    return np.where(effect >= alert, ALERT, np.where(effect >= warn, WARN, QUIET)).astype(np.int64)


def benjamini_hochberg(p_values: Floats, ratio: float) -> float:
    """The largest p that counts as a discovery when false ones are held to ``ratio``; -1 when none does."""
    if p_values.size == 0:
        return -1.0
    ordered = np.sort(p_values)
    passes = ordered <= ratio * np.arange(1, ordered.size + 1) / ordered.size
    return float(ordered[passes][-1]) if passes.any() else -1.0


def chi_square_tail(x: Floats, degrees: Ints) -> Floats:
    """P(chi-square with ``degrees`` >= x), elementwise; exact for whole degrees.

    By the recurrence Q(a + 1, y) = Q(a, y) + y^a e^-y / Gamma(a + 1), with a = degrees / 2 and y = x / 2, from
    Q(1/2, y) = erfc(sqrt y) or Q(1, y) = e^-y (Abramowitz and Stegun 6.5.21).
    """
    tails = np.ones(x.shape)
    for index, (value, degree) in enumerate(zip(x.tolist(), degrees.tolist(), strict=True)):
        if degree < 1 or not value > 0:
            continue
        y = value / 2
        a = 0.5 if degree % 2 else 1.0
        tail = math.erfc(math.sqrt(y)) if degree % 2 else math.exp(-y)
        while a < degree / 2:
            tail += math.exp(a * math.log(y) - y - math.lgamma(a + 1))
            a += 1
        tails[index] = min(tail, 1.0)
    return tails


def _groups(counts: Counts, *, is_categorical: bool) -> Ints:
    """Counts per group, ``[S, G]``."""
    if is_categorical:
        return np.column_stack([counts.bins, counts.below + counts.above])
    parts = np.array_split(np.arange(counts.bins.shape[1]), min(GROUPS, counts.bins.shape[1]))
    groups: Ints = np.stack([counts.bins[:, part].sum(axis=1) for part in parts], axis=1)
    groups[:, 0] += counts.below
    groups[:, -1] += counts.above
    return groups


def _psi(p: Floats, q: Floats) -> Floats:
    is_used = (p > 0) | (q > 0)
    p, q = np.maximum(p, _SHARE_FLOOR), np.maximum(q, _SHARE_FLOOR)
    result: Floats = np.where(is_used, (q - p) * np.log(q / p), 0).sum(axis=1)
    return result


def _js_divergence(p: Floats, q: Floats) -> Floats:
    middle = (p + q) / 2
    left = np.where(p > 0, p * np.log(p / middle), 0)
    right = np.where(q > 0, q * np.log(q / middle), 0)
    result: Floats = np.maximum((left + right).sum(axis=1) / 2, 0)
    return result


def _ks(reference: Counts, current: Counts) -> Floats:
    def distribution(counts: Counts) -> Floats:
        steps = np.column_stack([counts.below, counts.bins])
        with np.errstate(divide="ignore", invalid="ignore"):
            values: Floats = np.cumsum(steps, axis=1) / counts.present[:, None]
        return values

    result: Floats = np.abs(distribution(reference) - distribution(current)).max(axis=1)
    return result


def _means(edges: Floats, counts: Counts) -> Floats:
    total = counts.sums.sum(axis=1) + counts.below * edges[0] + counts.above * edges[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        means: Floats = total / counts.present
    return means


def _deviation(edges: Floats, reference: Counts) -> float:
    """Standard deviation of the reference from its bins' means; at least a millionth of the range."""
    bins, sums = reference.bins[0], reference.sums[0]
    filled = bins > 0
    least = max(float(edges[-1] - edges[0]) * 1e-6, 1e-12)
    if not filled.any():
        return least
    means = sums[filled] / bins[filled]
    center = np.average(means, weights=bins[filled])
    return max(float(np.sqrt(np.average((means - center) ** 2, weights=bins[filled]))), least)


def _homogeneity(p_counts: Ints, q_counts: Ints) -> Floats:
    """P of the two-sample chi-square of each row of ``q_counts`` ``[S, G]`` against ``p_counts`` ``[G]``."""
    m, n = p_counts.sum(), q_counts.sum(axis=1)
    pooled = p_counts[None, :] + q_counts
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = pooled * (n / (m + n))[:, None]
        is_small = expected < _EXPECTED_MIN
        # Groups with few expected values are taken as one; should that still be few, it joins the largest.
        p_kept, q_kept = np.where(is_small, 0, p_counts[None, :]), np.where(is_small, 0, q_counts)
        p_rest, q_rest = (p_counts[None, :] - p_kept).sum(axis=1), (q_counts - q_kept).sum(axis=1)
        rest_expected = (p_rest + q_rest) * n / (m + n)
        joins = rest_expected < _EXPECTED_MIN
        rows, largest = np.arange(q_counts.shape[0]), pooled.argmax(axis=1)
        p_kept[rows[joins], largest[joins]] += p_rest[joins]
        q_kept[rows[joins], largest[joins]] += q_rest[joins]
        p_all = np.column_stack([p_kept, np.where(joins, 0, p_rest)])
        q_all = np.column_stack([q_kept, np.where(joins, 0, q_rest)])
        both = p_all + q_all
        difference = q_all / n[:, None] - p_all / m
        terms = np.where(both > 0, difference**2 / (both / (m + n[:, None])), 0)
        statistic = terms.sum(axis=1) / (1 / m + 1 / n)
    degrees = np.maximum((both > 0).sum(axis=1) - 1, 0)
    return chi_square_tail(np.nan_to_num(statistic), degrees)


def _binomial_bound(k: Ints, n: Ints, k0: int, m: int) -> Floats:
    """Upper bound of P(at least k of n) at the reference's rate, ``[S]``."""
    rate = (k0 + 1) / (m + 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = k / n
        divergence = np.where(share > 0, share * np.log(share / rate), 0) + np.where(
            share < 1, (1 - share) * np.log((1 - share) / (1 - rate)), 0
        )
        bound = np.exp(-n * divergence)
    return np.where(share > rate, np.minimum(bound, 1), 1.0)
