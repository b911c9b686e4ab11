"""Real outputs of real models, computed once: what simulated devices draw their windows from."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from flotilla_agent.ddi import MANIFEST_FILE, MODEL_FILE
from flotilla_agent.files import folder_make, write_atomic
from flotilla_agent.inference.perturbation import NONE, Perturbation, perturb
from flotilla_agent.inference.source import rows_load
from flotilla_agent.inference.window import Window
from flotilla_agent.model import Array, LoadedModel, ModelError, Prediction
from flotilla_agent.slots import Slot, SlotRecord
from flotilla_protocol.digests import digest_bytes
from flotilla_protocol.features import FloatArray, input_features
from flotilla_protocol.messages import InferenceReport

MAX_ROWS = 2_000  # of a data set that are run: more adds nothing to what windows show
_PERTURBATION_SEED = 20_061  # one noise for all devices, so that outputs can be shared


class DataSet(msgspec.Struct, frozen=True):
    """Inputs ``[N, ...]`` all devices' cameras see, and the range of their values."""

    rows: Array
    value_range: tuple[float, float]

    @classmethod
    def of(cls, rows: Array) -> DataSet:
        """A data set of these rows (the first 2,000)."""
        kept = rows[:MAX_ROWS]
        return cls(kept, (float(kept.min()), float(kept.max())))

    @classmethod
    def load(cls, path: Path) -> DataSet:
        """From an ``.npz`` with ``x``, an ``.npy``, or a folder of them.

        Raises:
            SourceError: nothing usable there.
        """
        return cls.of(rows_load(path))

    def perturbed(self, perturbation: Perturbation) -> Array:
        """All rows as a drifting camera sees them."""
        rng = np.random.default_rng(_PERTURBATION_SEED)
        return perturb(self.rows, perturbation, rng, self.value_range)


class Outputs(msgspec.Struct, frozen=True):
    """What one model answered on every row of one (perturbed) data set; arrays are ``[N]``."""

    model: LoadedModel
    latency_ms: FloatArray
    classes: NDArray[np.int64] | None
    confidence: FloatArray | None
    features: dict[str, FloatArray]

    def window(
        self,
        rows: NDArray[np.int64],
        *,
        started_ms: int,
        ended_ms: int,
        latency_scale: float,
        errors: int = 0,
        previous: Outputs | None = None,
        shadow_every: int = 0,
    ) -> InferenceReport:
        """The window of a device that saw these rows.

        Args:
            rows: indices into the data set.
            started_ms: begin of the window, milliseconds since 1970.
            ended_ms: its end.
            latency_scale: how much slower the device is than this machine.
            errors: further inputs that got no answer.
            previous: outputs of the version before, while in probation.
            shadow_every: on every n-th input.
        """
        window = Window(self.model.manifest, started_ms)
        for _ in range(errors):
            window.error()
        if len(rows):
            window.answered(
                self.latency_ms[rows] * latency_scale,
                None if self.confidence is None else self.confidence[rows],
                {name: values[rows] for name, values in self.features.items()},
            )
        if previous is not None and shadow_every:
            shadowed = rows[::shadow_every]
            differing = 0
            if self.classes is not None and previous.classes is not None:
                differing = int((self.classes[shadowed] != previous.classes[shadowed]).sum())
            latency = float(previous.latency_ms[shadowed].sum()) * latency_scale
            window.compared(len(shadowed), differing, latency)
        return window.report(ended_ms)


class Library:
    """Model files the fleet has fetched, and their outputs. Shared by all devices of a fleet.

    Args:
        folder: keeps the files, so that a restarted fleet has them.
        data: what all cameras see.
    """

    def __init__(self, folder: Path, data: DataSet) -> None:
        self._folder = folder_make(folder)
        self._data = data
        self._models: dict[str, LoadedModel] = {}
        self._self_tests: dict[str, str] = {}
        self._outputs: dict[tuple[str, Perturbation], Outputs] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @staticmethod
    def _key(digest: str, manifest_digest: str) -> str:
        return f"{digest[:32]}-{manifest_digest[:32]}"

    def has(self, digest: str, manifest_digest: str) -> bool:
        """Whether these files are here."""
        return (self._folder / self._key(digest, manifest_digest) / "complete").exists()

    async def keep(self, model: bytes, manifest: bytes) -> None:
        """Keep verified files; those that are here already stay as they are."""
        key = self._key(digest_bytes(model).sha256, digest_bytes(manifest).sha256)
        async with self._locks.setdefault(key, asyncio.Lock()):
            folder = folder_make(self._folder / key)
            if (folder / "complete").exists():
                return
            for name, content in ((MODEL_FILE, model), (MANIFEST_FILE, manifest), ("complete", b"")):
                await asyncio.to_thread(write_atomic, folder / name, content)

    def manifest_bytes(self, digest: str, manifest_digest: str) -> bytes:
        """The manifest as it was signed.

        Raises:
            OSError: it is not here.
        """
        return (self._folder / self._key(digest, manifest_digest) / MANIFEST_FILE).read_bytes()

    async def model(self, digest: str, manifest_digest: str) -> LoadedModel:
        """The loaded model.

        Raises:
            ModelError: it cannot be loaded.
        """
        key = self._key(digest, manifest_digest)
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key not in self._models:
                record = SlotRecord("", digest, manifest_digest, datetime.now(UTC))
                slot = Slot(model="", label="a", folder=self._folder / key, record=record)
                self._models[key] = await asyncio.to_thread(LoadedModel, slot)
            return self._models[key]

    async def self_test(self, digest: str, manifest_digest: str) -> None:
        """Run the model's self-test; really once, its result holds for equal bytes.

        Raises:
            ModelError: it failed.
        """
        key = self._key(digest, manifest_digest)
        model = await self.model(digest, manifest_digest)
        if key not in self._self_tests:
            try:
                await asyncio.to_thread(model.self_test)
                self._self_tests[key] = ""
            except ModelError as error:
                self._self_tests[key] = str(error)
        if self._self_tests[key]:
            raise ModelError(self._self_tests[key])

    async def outputs(self, digest: str, manifest_digest: str, perturbation: Perturbation = NONE) -> Outputs:
        """The model's answers on the (perturbed) data set, row by row; computed at the first call.

        Raises:
            ModelError: it cannot be loaded, or fails on a row.
        """
        key = self._key(digest, manifest_digest)
        model = await self.model(digest, manifest_digest)
        async with self._locks[key]:
            found = self._outputs.get((key, perturbation))
            if found is None:
                found = await asyncio.to_thread(_run_all, model, self._data.perturbed(perturbation))
                self._outputs[key, perturbation] = found
            return found


def _run_all(model: LoadedModel, rows: Array) -> Outputs:
    model.predict(rows[:1])  # the first call pays for memory plans: no device's latency
    predictions: list[Prediction] = [model.predict(rows[index : index + 1]) for index in range(len(rows))]
    features = input_features(rows)
    is_classifier = all(prediction.classes is not None for prediction in predictions)
    for name in predictions[0].features:
        features[name] = np.concatenate([prediction.features[name] for prediction in predictions])
    classes = [prediction.classes for prediction in predictions if prediction.classes is not None]
    confidence = [prediction.confidence for prediction in predictions if prediction.confidence is not None]
    return Outputs(
        model=model,
        latency_ms=np.array([prediction.latency_ms for prediction in predictions]),
        classes=np.concatenate(classes) if is_classifier else None,
        confidence=np.concatenate(confidence) if is_classifier else None,
        features=features,
    )
