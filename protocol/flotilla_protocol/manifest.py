"""The manifest: what a device must know of a model file, signed beside it as a TUF target of its own."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from flotilla_protocol import codec
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.features import ScoreKind
from flotilla_protocol.limits import Finite, Name, NonNegative, Sha256Hex, Text
from flotilla_protocol.profile import ReferenceProfile, profile_check

MAX_MANIFEST_BYTES = 8_000_000
_MAX_TENSOR_VALUES = 1_000_000


class TensorSpec(msgspec.Struct, frozen=True):
    """One input or output as the file declares it; ``shape`` holds numbers, or names of free axes."""

    name: Text
    dtype: Text  # numpy's word: float32, int64, uint8, ...
    shape: Annotated[list[int | str | None], Meta(max_length=8)]


class Tensor(msgspec.Struct, frozen=True):
    """A small tensor with its values, row-major."""

    dtype: Text
    shape: Annotated[list[int], Meta(max_length=8)]
    values: Annotated[list[Finite], Meta(max_length=_MAX_TENSOR_VALUES)]

    @classmethod
    def of(cls, array: NDArray[np.generic]) -> Tensor:
        """The array as it travels."""
        values = np.asarray(array, dtype=np.float64).ravel().tolist()
        return cls(dtype=array.dtype.name, shape=list(array.shape), values=values)

    def array(self) -> NDArray[np.generic]:
        """The tensor as an array of its own dtype.

        Raises:
            InvalidMessageError: the dtype is unknown, or shape and number of values disagree.
        """
        try:
            return np.asarray(self.values, dtype=np.float64).astype(np.dtype(self.dtype)).reshape(self.shape)
        except (TypeError, ValueError) as error:
            raise InvalidMessageError(str(error), field="self_test") from error


class SelfTest(msgspec.Struct, frozen=True):
    """Inputs by name, and the answers a sound installation gives to within ``tolerance`` (absolute)."""

    inputs: dict[str, Tensor]
    expected: dict[str, Tensor]
    tolerance: NonNegative


class Scores(msgspec.Struct, frozen=True):
    """Where a classifier's scores ``[N, K]`` are, and what they mean."""

    output: Text
    kind: ScoreKind


class Manifest(msgspec.Struct, frozen=True):
    """Everything a device needs beside the file itself. ``digest`` is the SHA-256 of ``model.onnx``."""

    model: Name
    version: Name
    variant: Name
    digest: Sha256Hex
    inputs: Annotated[list[TensorSpec], Meta(max_length=64)]
    outputs: Annotated[list[TensorSpec], Meta(max_length=64)]
    labels: Annotated[list[Text], Meta(max_length=1024)]
    scores: Scores | None  # null for models that are not classifiers
    self_test: SelfTest
    profile: ReferenceProfile


def manifest_decode(body: bytes) -> Manifest:
    """Read and check ``manifest.json``.

    Raises:
        InvalidMessageError: too large, unreadable, or its parts disagree.
    """
    if len(body) > MAX_MANIFEST_BYTES:
        raise InvalidMessageError(f"a manifest has at most {MAX_MANIFEST_BYTES} bytes.")
    manifest = codec.decode(body, Manifest)
    profile_check(manifest.profile)
    if manifest.scores and manifest.scores.output not in {output.name for output in manifest.outputs}:
        raise InvalidMessageError("must name one of the outputs.", field="scores.output")
    for group, tensors in (("inputs", manifest.self_test.inputs), ("expected", manifest.self_test.expected)):
        for name, tensor in tensors.items():
            if int(np.prod(tensor.shape, dtype=np.int64)) != len(tensor.values):
                raise InvalidMessageError("shape and number of values disagree.", field=f"self_test.{group}.{name}")
    return manifest


def manifest_encode(manifest: Manifest) -> bytes:
    """``manifest.json``: the same bytes for the same manifest."""
    return msgspec.json.encode(manifest, order="sorted")
