"""The models that run now, and probation: the previous version kept loaded and asked beside the new one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from flotilla_agent.clock import Clock
from flotilla_agent.inference.window import Window
from flotilla_agent.model import LoadedModel, ModelError, Prediction
from flotilla_agent.slots import Slot
from flotilla_protocol.features import input_features
from flotilla_protocol.messages import InferenceReport

log = logging.getLogger(__name__)

Array = NDArray[np.generic]


class ProbationStatus(msgspec.Struct, frozen=True):
    """How the candidates have done since the switch."""

    seconds: float
    errors: int  # inputs on which a candidate failed and its predecessor, if any, did not


class Pipeline:
    """One model: preprocess, infer, postprocess, and compare while in probation."""

    def __init__(self, active: LoadedModel, shadow: LoadedModel | None, shadow_every: int, now_ms: int) -> None:
        self.active = active
        self.shadow = shadow
        self.errors = 0
        self._shadow_every = shadow_every
        self._seen = 0
        self.window = Window(active.manifest, now_ms)

    def process(self, rows: Array, features: dict[str, NDArray[np.float64]]) -> Prediction | None:
        """Answer one input ``[1, ...]``; None when the model failed on it."""
        self._seen += 1
        try:
            prediction = self.active.predict(rows)
        except ModelError as error:
            self.window.error()
            if not self._predecessor_fails(rows):
                self.errors += 1
                log.warning("%s %s failed on an input: %s", self.active.slot.model, self.active.version, error)
            return None
        self.window.answered(
            np.array([prediction.latency_ms]), prediction.confidence, {**features, **prediction.features}
        )
        if self.shadow is not None and self._shadow_every and self._seen % self._shadow_every == 0:
            self._compare(self.shadow, rows, prediction)
        return prediction

    def _predecessor_fails(self, rows: Array) -> bool:
        """Whether the input is bad for the previous version too: then the candidate is not to blame."""
        if self.shadow is None:
            return False
        try:
            self.shadow.predict(rows)
        except ModelError:
            return True
        return False

    def _compare(self, shadow: LoadedModel, rows: Array, prediction: Prediction) -> None:
        try:
            other = shadow.predict(rows)
        except ModelError as error:
            log.info("The previous version failed on an input: %s", error)
            return
        self.window.compared(len(rows), disagreements(prediction, other), other.latency_ms)


def disagreements(one: Prediction, other: Prediction) -> int:
    """On how many inputs two versions answer differently: another class, or, without classes, other
    numbers.
    """
    if one.classes is not None and other.classes is not None:
        return int((one.classes != other.classes).sum())
    names = one.outputs.keys() & other.outputs.keys()
    same = all(
        one.outputs[name].shape == other.outputs[name].shape
        and np.allclose(one.outputs[name], other.outputs[name], rtol=1e-3, atol=1e-5, equal_nan=True)
        for name in names
    )
    return 0 if names and same else 1


class Runtime:
    """All pipelines of the device. The update thread changes them, the inference thread runs them.

    Args:
        clock: for the windows' times.
        on_windows: takes finished windows (to the outbox).
    """

    def __init__(self, clock: Clock, on_windows: Callable[[list[InferenceReport]], None]) -> None:
        self._clock = clock
        self._on_windows = on_windows
        self._lock = threading.Lock()
        self._pipelines: dict[str, Pipeline] = {}
        self._probation_since: float | None = None

    def apply(
        self, plan: dict[str, tuple[Slot, Slot | None]], *, shadow_every: int = 0, in_probation: bool = False
    ) -> None:
        """Run exactly these models; each with the slot of its predecessor while in probation.

        New sessions are loaded while the old ones still answer; the exchange itself is one assignment between
        two inputs. Windows of replaced versions are closed, so that none spans two versions.

        Raises:
            ModelError: a model cannot be loaded; what ran before goes on.
        """
        loaded = {
            (pipeline.active.slot.folder, pipeline.active.slot.record): pipeline.active
            for pipeline in self._pipelines.values()
        }

        def load(slot: Slot) -> LoadedModel:
            return loaded.get((slot.folder, slot.record)) or LoadedModel(slot)

        now_ms = self._clock.now_ms()
        pipelines = {
            model: Pipeline(load(active), _load_shadow(shadow, load), shadow_every, now_ms)
            for model, (active, shadow) in plan.items()
        }
        with self._lock:
            self._emit(now_ms)
            self._pipelines = pipelines
            self._probation_since = time.monotonic() if in_probation else None

    def settle(self) -> None:
        """Probation is over: let the predecessors go."""
        with self._lock:
            self._probation_since = None
            for pipeline in self._pipelines.values():
                pipeline.shadow = None

    def probation(self) -> ProbationStatus:
        """How it has gone since the switch."""
        with self._lock:
            since = self._probation_since
            errors = sum(pipeline.errors for pipeline in self._pipelines.values())
        return ProbationStatus(time.monotonic() - since if since is not None else 0.0, errors)

    def process(self, rows: Array) -> dict[str, Prediction]:
        """Run one input ``[1, ...]`` through every model; answers by model name."""
        features = input_features(rows)
        answers: dict[str, Prediction] = {}
        with self._lock:
            for model, pipeline in self._pipelines.items():
                prediction = pipeline.process(rows, features)
                if prediction is not None:
                    answers[model] = prediction
        return answers

    def cut_windows(self) -> None:
        """End the current windows and hand over those with content."""
        with self._lock:
            self._emit(self._clock.now_ms())

    def _emit(self, now_ms: int) -> None:
        reports = [
            pipeline.window.report(now_ms) for pipeline in self._pipelines.values() if not pipeline.window.is_empty
        ]
        for pipeline in self._pipelines.values():
            pipeline.window = Window(pipeline.active.manifest, now_ms)
        if reports:
            self._on_windows(reports)


def _load_shadow(slot: Slot | None, load: Callable[[Slot], LoadedModel]) -> LoadedModel | None:
    """The predecessor, when it can still be loaded: a comparison is not worth failing an update for."""
    if slot is None:
        return None
    try:
        return load(slot)
    except ModelError as error:
        log.warning("The previous version cannot be kept beside the new one: %s", error)
        return None
