"""How a camera's picture gets worse: less contrast, more noise. Set at run time through a small file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from flotilla_agent.files import write_atomic


class Perturbation(msgspec.Struct, frozen=True):
    """``contrast`` scales around the picture's mean (1 leaves it); ``noise`` is the standard deviation of
    added noise as a share of the value range.
    """

    contrast: float = 1.0
    noise: float = 0.0

    @property
    def is_none(self) -> bool:
        """Whether inputs stay as they are."""
        return self.contrast == 1.0 and self.noise == 0.0


NONE = Perturbation()


def perturb(
    rows: NDArray[np.generic],
    perturbation: Perturbation,
    rng: np.random.Generator,
    value_range: tuple[float, float],
) -> NDArray[np.generic]:
    """A batch ``[N, ...]`` as the perturbed source would give it: same shape and dtype, within
    ``value_range``.
    """
    if perturbation.is_none:
        return rows
    low, high = value_range
    values = rows.astype(np.float64)
    axes = tuple(range(1, values.ndim))
    mean = values.mean(axis=axes, keepdims=True)
    noise = rng.normal(0.0, perturbation.noise * (high - low), values.shape) if perturbation.noise else 0.0
    changed = np.clip((values - mean) * perturbation.contrast + mean + noise, low, high)
    if np.issubdtype(rows.dtype, np.integer):
        changed = np.rint(changed)
    result: NDArray[np.generic] = changed.astype(rows.dtype)
    return result


class PerturbationFile:
    """A JSON file ``{"contrast": 0.5, "noise": 0.2}`` that is read again when it changes; no file means
    none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._current = NONE

    def current(self) -> Perturbation:
        """What the file says now; what it said before when it cannot be read."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._seen, self._current = None, NONE
            return NONE
        seen = (stat.st_mtime_ns, stat.st_ino)
        if seen != self._seen:
            try:
                self._current = msgspec.json.decode(self._path.read_bytes(), type=Perturbation)
                self._seen = seen
            except (OSError, msgspec.DecodeError):
                return self._current
        return self._current

    def write(self, perturbation: Perturbation) -> None:
        """Say it in the file; a running agent follows within a second."""
        write_atomic(self._path, msgspec.json.encode(perturbation))
