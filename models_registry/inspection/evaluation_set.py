"""Evaluation sets: ``.npz`` with ``x`` float32 ``[N, ...]`` and ``y`` int64 ``[N]`` (class numbers from 0).

Everything is checked against the archive's directory and the arrays' headers before their bytes are unpacked; nothing
is ever unpickled.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from models_registry.errors import ModelRejectedError

MAX_BYTES = 256_000_000  # unpacked
MAX_ROWS = 200_000
MAX_CLASSES = 1024
_ARRAYS = {"x.npy": "float32", "y.npy": "int64"}
_MAX_RANK = 6


@dataclass(frozen=True)
class LabelledRows:
    """Inputs and their true classes: ``x`` float32 ``[N, ...]``, finite; ``y`` int64 ``[N]``, below ``class_count``."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    @property
    def class_count(self) -> int:
        """The highest class number plus one."""
        return int(self.y.max()) + 1


def evaluation_set_load(path: Path) -> LabelledRows:
    """Read and check an evaluation set.

    Raises:
        ModelRejectedError: ``evaluation_set_*``; the text says which rule it breaks.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_directory(archive)
            arrays = {name: _array(archive, name, dtype) for name, dtype in _ARRAYS.items()}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ModelRejectedError(
            "The evaluation set is not a readable .npz file. Make it with numpy.savez(path, x=x, y=y).",
            code="evaluation_set_unreadable",
        ) from error
    x = arrays["x.npy"].astype(np.float32, copy=False)
    y = arrays["y.npy"].astype(np.int64, copy=False)
    _check_values(x, y)
    return LabelledRows(x=x, y=y)


def _check_directory(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if sorted(names) != sorted(_ARRAYS):
        raise ModelRejectedError(
            f"The evaluation set holds {', '.join(names[:5]) or 'nothing'}; it must hold exactly the arrays x and y.",
            code="evaluation_set_arrays",
        )
    if sum(member.file_size for member in members) > MAX_BYTES:
        raise ModelRejectedError(
            f"The evaluation set unpacks to more than {MAX_BYTES // 1_000_000} MB; use fewer rows.",
            code="evaluation_set_too_large",
        )


def _array(archive: zipfile.ZipFile, name: str, dtype: str) -> NDArray[np.generic]:
    with archive.open(name) as file:
        shape, is_fortran, found = _header(file, name)  # type: ignore[arg-type]
        if found.hasobject or found != np.dtype(dtype):
            raise ModelRejectedError(
                f"The array {name[0]} has dtype {found}; it must be {dtype}. Pickled objects are never read.",
                code="evaluation_set_dtype",
            )
        if len(shape) > _MAX_RANK or any(size < 0 for size in shape):
            raise ModelRejectedError(
                f"The array {name[0]} has a shape that cannot be used: {shape}.", code="evaluation_set_shape"
            )
        expected = int(np.prod(shape, dtype=object)) * found.itemsize
        body = file.read(MAX_BYTES + 1)
    if len(body) != expected:
        raise ModelRejectedError(
            f"The array {name[0]} announces {expected} bytes and has {len(body)}.", code="evaluation_set_truncated"
        )
    return np.frombuffer(body, dtype=found).reshape(shape, order="F" if is_fortran else "C")


def _header(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        return read(file, max_header_size=10_000)
    except (ValueError, KeyError) as error:
        raise ModelRejectedError(
            f"The array {name[0]} has no readable header.", code="evaluation_set_unreadable"
        ) from error


def _check_values(x: NDArray[np.generic], y: NDArray[np.generic]) -> None:
    if y.ndim != 1 or x.ndim < 2 or len(x) != len(y):  # noqa: PLR2004 - rows and at least one column
        raise ModelRejectedError(
            f"x must be [N, ...] and y [N]; they are {list(x.shape)} and {list(y.shape)}.", code="evaluation_set_shape"
        )
    if not 1 <= len(y) <= MAX_ROWS or x.size == 0:
        raise ModelRejectedError(
            f"The evaluation set has {len(y)} rows; 1 to {MAX_ROWS} are accepted.", code="evaluation_set_rows"
        )
    if not np.isfinite(x).all():
        raise ModelRejectedError("x holds values that are not finite.", code="evaluation_set_not_finite")
    if int(y.min()) < 0 or int(y.max()) >= MAX_CLASSES:
        raise ModelRejectedError(
            f"y holds class numbers from {y.min()} to {y.max()}; they must lie within 0 to {MAX_CLASSES - 1}.",
            code="evaluation_set_classes",
        )
