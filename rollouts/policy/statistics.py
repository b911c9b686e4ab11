"""The arithmetic of the gates: always-valid inference, written out.

Everything here may be looked at after every window without spoiling its error rate. Sources: Waudby-Smith and others,
"Time-uniform central limit theory" (asymptotic confidence sequences, as GrowthBook uses them); Robbins' mixture
sequential test with a half-normal mixture for one-sided harm; Waudby-Smith and Ramdas, "Estimating means of bounded
random variables by betting" (2024), for proportions against a ceiling. ``docs/developers/gates.md`` has measured error
rates and power.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np

_NORMAL: Final = NormalDist()
HARM_ALPHA: Final = 0.01  # one-sided, for stopping
DISPLAY_ALPHA: Final = 0.05  # two-sided, for the interval on screen and for passing
_UNDERFLOW: Final = -30.0
_BETS: Final = 24  # fixed bets mixed; more change the result by less than a percent
_BISECTIONS: Final = 20  # halvings of an interval of ratios: to a millionth


@dataclass(frozen=True)
class Sample:
    """One arm: a value per device.

    Args:
        mean: of the devices' values.
        variance_of_mean: the squared standard error of ``mean``.
        count: devices.
        observations: device-windows behind them.
    """

    mean: float
    variance_of_mean: float
    count: int
    observations: int


def sample_of(values: Sequence[float], observations: int, *, variance_floor: float = 0.0) -> Sample:
    """Mean and squared standard error of one value per device.

    Args:
        values: float, one per device.
        observations: device-windows behind them.
        variance_floor: lower limit of the squared standard error, for values that happen to be equal.
    """
    array = np.asarray(values, dtype=np.float64)
    count = int(array.size)
    variance = float(array.var(ddof=1)) / count if count > 1 else 0.0
    return Sample(
        mean=float(array.mean()) if count else math.nan,
        variance_of_mean=max(variance, variance_floor),
        count=count,
        observations=observations,
    )


# --- Student's t ----------------------------------------------------------------------------------
def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function by Lentz's continued fraction (Numerical Recipes 6.4)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    f, c, d = 1.0, 1.0, 0.0
    for i in range(400):
        m = i // 2
        if i == 0:
            numerator = 1.0
        elif i % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + numerator * d or tiny)
        c = 1 + numerator / c or tiny
        f *= c * d
        if abs(1 - c * d) < 1e-14:  # noqa: PLR2004 - machine precision
            break
    return front * (f - 1)


@lru_cache(maxsize=4096)
def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t, by bisection on its distribution function.

    Args:
        probability: 0.5 to 1, excluded.
        degrees: of freedom, from 1.
    """
    low, high = 0.0, 1e7
    for _ in range(200):
        middle = (low + high) / 2
        tail = 0.5 * _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + middle * middle))
        if 1 - tail < probability:
            low = middle
        else:
            high = middle
        if high - low < 1e-10 * max(1.0, high):
            break
    return (low + high) / 2


def t_inflation(alpha: float, degrees: int) -> float:
    """What a variance estimated from few devices must be multiplied by (ml-methods 10): ``(t / z)**2``."""
    z = _NORMAL.inv_cdf(1 - alpha / 2)
    return (t_quantile(1 - alpha / 2, degrees) / z) ** 2


# --- Differences ----------------------------------------------------------------------------------
def harm_evidence(difference: float, variance: float, tau: float) -> float:
    """Natural logarithm of the evidence that the true difference is above 0 (one-sided mixture sequential test).

    Harm at level alpha is evidence of at least ``-log(alpha)``, at any look. The mixture is half-normal with scale
    ``tau``: ``2 Phi(d tau / sqrt(V (V + tau^2))) sqrt(V / (V + tau^2)) exp(tau^2 d^2 / (2 V (V + tau^2)))``.

    Args:
        difference: estimate less the tolerated bound.
        variance: squared standard error of the estimate, above 0.
        tau: the smallest excess worth acting on, in the same unit.
    """
    total = variance + tau * tau
    m = difference * tau / math.sqrt(variance * total)
    # log Phi(m); far on the harmless side, where it underflows, by Mills' ratio.
    if m > _UNDERFLOW:
        log_phi = math.log(0.5 * math.erfc(-m / math.sqrt(2)))
    else:
        log_phi = -m * m / 2 - math.log(-m * math.sqrt(2 * math.pi))
    return math.log(2) + log_phi + 0.5 * math.log(variance / total) + m * m / 2


def sequence_half_width(variance: float, observations: int, planned: int, alpha: float = DISPLAY_ALPHA) -> float:
    """Half the width of the always-valid confidence interval (ml-methods 5).

    Args:
        variance: squared standard error of the estimate.
        observations: device-windows so far, from 1.
        planned: device-windows at which the interval should be tightest.
        alpha: two-sided.
    """
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / max(1, planned)
    n = max(1, observations)
    factor = 2 * (n * rho2 + 1) / (n * rho2) * math.log(math.sqrt(n * rho2 + 1) / alpha)
    return math.sqrt(variance * factor)


# --- Proportions against a ceiling ----------------------------------------------------------------
def betting_evidence(values: Sequence[float], ceiling: float) -> float:
    """Natural logarithm of the evidence that values in 0 to 1 have a mean above ``ceiling``.

    Somebody who bets fixed shares of a purse that the next value is above the ceiling cannot expect to grow it when
    the mean is at or below; a purse grown to ``1 / alpha`` has that probability at most, whenever one looks and
    whatever the values' distribution. Mixes ``_BETS`` fixed shares, so no order of the values matters.

    Args:
        values: one per device and window, each 0 to 1.
        ceiling: above 0, below 1.
    """
    if len(values) == 0:
        return 0.0
    array = np.asarray(values, dtype=np.float64) - ceiling
    bets = np.geomspace(0.02, 0.95, _BETS) / ceiling
    purses = np.zeros(_BETS)
    for start in range(0, array.size, 4096):
        purses += np.log1p(np.outer(bets, array[start : start + 4096])).sum(axis=1)
    highest = float(purses.max())
    return highest + math.log(float(np.exp(purses - highest).mean()))


def betting_lower_bound(values: Sequence[float], alpha: float, *, at_least: float) -> float:
    """The lower end of the confidence sequence that ``betting_evidence`` makes: every mean below it is excluded.

    Args:
        values: one per device and window, each 0 to 1.
        alpha: how often, at most, the bound may ever lie above the mean.
        at_least: a mean that is known to be excluded, above 0; the search begins there.
    """
    needed = -math.log(alpha)
    excluded, possible = at_least, max(at_least, float(np.mean(values)))
    for _ in range(_BISECTIONS):
        middle = (excluded + possible) / 2
        if betting_evidence(values, middle) >= needed:
            excluded = middle
        else:
            possible = middle
    return excluded
