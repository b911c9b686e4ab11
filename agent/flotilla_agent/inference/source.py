"""Where inputs come from. A source is a plug-in: anything with ``read()`` may stand in for the camera."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flotilla_agent.inference.perturbation import PerturbationFile, perturb

Array = NDArray[np.generic]


class SourceError(Exception):
    """The source cannot be opened; the text says why."""


class Source(Protocol):
    """Gives one input at a time."""

    def read(self) -> Array:
        """The next input as a batch of one, ``[1, ...]``.

        Raises:
            OSError: the source is gone for now; the loop tries again.
        """


def rows_load(path: Path) -> Array:
    """All inputs of an ``.npz`` (array ``x``), an ``.npy``, or a folder of ``.npy`` files of equal shape:
    ``[N, ...]``.

    Raises:
        SourceError: there is nothing usable.
    """
    try:
        if path.is_dir():
            files = sorted(path.glob("*.npy"))
            if not files:
                raise SourceError(f"{path} has no .npy files.")
            return np.stack([np.load(file, allow_pickle=False) for file in files])
        loaded = np.load(path, allow_pickle=False)
        rows: Array = loaded["x"] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{path} cannot be used as a source: {error}") from error
    if rows.ndim < 2 or len(rows) == 0 or not np.issubdtype(rows.dtype, np.number):  # noqa: PLR2004 - [N, ...]
        raise SourceError(f"{path} holds {rows.dtype} of shape {rows.shape}; numbers of shape [N, ...] are needed.")
    return rows


class RecordedSource:
    """Plays recorded inputs in random order, as a camera sees a scene, through a perturbation set at run
    time.

    Args:
        rows: ``[N, ...]``.
        control: the perturbation's file; looked at once a second.
        seed: of the order and the noise.
    """

    CONTROL_INTERVAL_S = 1.0

    def __init__(self, rows: Array, control: PerturbationFile, seed: int | None = None) -> None:
        self._rows = rows
        self._range = (float(rows.min()), float(rows.max()))
        self._control = control
        self._rng = np.random.default_rng(seed)
        self._perturbation = control.current()
        self._looked_at = time.monotonic()

    def read(self) -> Array:
        """One recorded input, ``[1, ...]``, perturbed as the control file says."""
        if time.monotonic() - self._looked_at >= self.CONTROL_INTERVAL_S:
            self._perturbation = self._control.current()
            self._looked_at = time.monotonic()
        index = int(self._rng.integers(len(self._rows)))
        return perturb(self._rows[index : index + 1], self._perturbation, self._rng, self._range)
