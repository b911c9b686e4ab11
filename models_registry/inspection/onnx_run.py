"""One ONNX file in ONNX Runtime: batches in, arrays out."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models_registry.errors import ModelRejectedError

Arrays = dict[str, NDArray[np.generic]]

_BATCH_ROWS = 256
_BATCH_VALUES = 4_000_000
_WARM_UP_RUNS = 5
_TIMED_RUNS = 200
_TIMED_S = 2.0
_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


class OnnxRunner:
    """A session on one CPU thread, as a device's smallest core would run it.

    Raises:
        ModelRejectedError: ``cannot_load``, ``unsupported_inputs``.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # whatever the runtime raises about a file is the file's fault
            text = RuntimeError(
                str(error).replace(str(path), path.name)
            )  # where the server keeps files is its own affair
            raise _rejected("cannot_load", "ONNX Runtime cannot load the model", text) from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _DTYPES:
            found = ", ".join(f"{value.name} {value.type}" for value in inputs)[:200]
            raise ModelRejectedError(
                f"The model takes {found}; one input of floating point numbers can be measured.",
                code="unsupported_inputs",
            )
        self._input = inputs[0]
        self._dtype = _DTYPES[inputs[0].type]

    @property
    def input_name(self) -> str:
        """The name of the one input."""
        return str(self._input.name)

    @property
    def fixed_batch(self) -> int | None:
        """How many rows a run takes, if the graph fixes it."""
        first = self._input.shape[0] if self._input.shape else None
        return first if isinstance(first, int) and first > 0 else None

    def fit(self, x: NDArray[np.float32]) -> NDArray[np.generic]:
        """Rows in the shape and dtype the graph wants.

        Args:
            x: ``[N, ...]``.

        Returns:
            ``[N, ...]`` with the graph's own axes after the first; the same values.

        Raises:
            ModelRejectedError: ``evaluation_shape``.
        """
        wanted = self._input.shape[1:]
        sizes = [size if isinstance(size, int) else None for size in wanted]
        fits = len(sizes) == x.ndim - 1 and all(
            size is None or size == have for size, have in zip(sizes, x.shape[1:], strict=True)
        )
        if fits:
            return np.ascontiguousarray(x, dtype=self._dtype)
        known = [size for size in sizes if size is not None]
        if len(known) == len(sizes) and sizes and int(np.prod(known)) == int(np.prod(x.shape[1:])):
            return np.ascontiguousarray(x.reshape(len(x), *known), dtype=self._dtype)
        raise ModelRejectedError(
            f"The model takes {list(self._input.shape)}, the evaluation set has rows of {list(x.shape[1:])}.",
            code="evaluation_shape",
        )

    def run(self, rows: NDArray[np.generic]) -> Arrays:
        """All outputs for ``rows`` ``[N, ...]`` in batches; each output ``[N, ...]``.

        Raises:
            ModelRejectedError: ``run_failed``, ``memory_limit``, ``unsupported_value``.
        """
        per_row = max(1, rows[0].size)
        size = self.fixed_batch or max(1, min(_BATCH_ROWS, _BATCH_VALUES // per_row))
        parts: list[list[NDArray[np.generic]]] = []
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            missing = size - len(batch) if self.fixed_batch else 0
            if missing:
                batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            answers = self._answer(batch)
            parts.append([answer[: len(batch) - missing] for answer in answers])
        return {name: np.concatenate([part[index] for part in parts]) for index, name in enumerate(self._outputs)}

    def _answer(self, batch: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        try:
            answers = self._session.run(None, {self.input_name: batch})
        except Exception as error:  # as above
            raise _rejected("run_failed", "The model fails on the evaluation set", error) from error
        for name, answer in zip(self._outputs, answers, strict=True):
            if not isinstance(answer, np.ndarray) or answer.ndim == 0 or len(answer) != len(batch):
                raise ModelRejectedError(
                    f"The output {name} does not have one row per input.", code="unsupported_value"
                )
        return list(answers)

    def latencies_ms(self, rows: NDArray[np.generic]) -> NDArray[np.float64]:
        """Wall times of single runs, of one input (or the graph's fixed batch), after some to warm up."""
        size = self.fixed_batch or 1
        batch = np.concatenate([rows[:size]] * (-(-size // len(rows[:size]))))[:size]
        for _ in range(_WARM_UP_RUNS):
            self._answer(batch)
        times: list[float] = []
        deadline = time.perf_counter() + _TIMED_S
        while len(times) < _TIMED_RUNS and (not times or time.perf_counter() < deadline):
            started = time.perf_counter()
            self._answer(batch)
            times.append((time.perf_counter() - started) * 1000)
        return np.asarray(times)


def _rejected(code: str, what: str, error: Exception) -> ModelRejectedError:
    text = str(error).replace("\n", " ")
    if "alloc" in text.lower():
        return ModelRejectedError(f"{what}: it needs more memory than it may use.", code="memory_limit")
    return ModelRejectedError(f"{what}: {text[:300]}", code=code)
