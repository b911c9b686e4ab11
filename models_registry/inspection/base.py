"""What an inspector must do, and the values it answers with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from flotilla_protocol.manifest import Scores, SelfTest, TensorSpec
from flotilla_protocol.profile import ReferenceProfile
from models_registry.inspection.evaluation_set import LabelledRows

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Inspection:
    """What a file says about itself."""

    format: str
    opset: int | None
    ir_version: int | None
    producer: str
    operators: list[str]  # names, sorted; other domains' as ``domain.name``
    labels: list[str]  # of classes, in order; empty if the file names none
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]

    def as_json(self) -> dict[str, Any]:
        """For the answer channel."""
        return {
            **asdict(self),
            "inputs": msgspec.to_builtins(self.inputs),
            "outputs": msgspec.to_builtins(self.outputs),
        }


@dataclass(frozen=True)
class Measurement:
    """What a file does with the evaluation set."""

    # {accuracy, accuracy_by_class {label: ratio or null}, confusion (row: truth, column: answer; null above 100
    # classes), row_count, latency_ms_p50, latency_ms_p95 (of one input)}
    evaluation: dict[str, Any]
    labels: list[str]
    scores: Scores | None
    self_test: SelfTest
    profile: ReferenceProfile = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """For the answer channel."""
        return {
            "evaluation": self.evaluation,
            "labels": self.labels,
            "scores": msgspec.to_builtins(self.scores),
            "self_test": msgspec.to_builtins(self.self_test),
            "profile": msgspec.to_builtins(self.profile),
        }


class Inspector(Protocol):
    """One format. Every refusal is a ``ModelRejectedError`` with a stable code and a text that says what to do."""

    format: str  # for example "onnx"

    def recognises(self, path: Path) -> bool:
        """Whether the file looks like this format; cheap, and never raises for a strange file."""

    def inspect(self, path: Path) -> Inspection:
        """Read the file and check it, without running it."""

    def measure(
        self, path: Path, inspection: Inspection, evaluation_set: LabelledRows, progress: Progress
    ) -> Measurement:
        """Run it over the evaluation set."""
