"""Manifests and digests: what a device believes about a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flotilla_protocol import codec
from flotilla_protocol.digests import digest_bytes, digest_file
from flotilla_protocol.errors import InvalidMessageError
from flotilla_protocol.manifest import (
    MAX_MANIFEST_BYTES,
    Manifest,
    Scores,
    SelfTest,
    Tensor,
    TensorSpec,
    manifest_decode,
    manifest_encode,
)
from flotilla_protocol.profile import reference_profile

ROWS = np.random.default_rng(1).random((50, 1, 4, 4)).astype(np.float32)
MANIFEST = Manifest(
    model="digits",
    version="1.0",
    variant="fp32",
    digest="a" * 64,
    inputs=[TensorSpec("x", "float32", ["N", 1, 4, 4])],
    outputs=[TensorSpec("y", "float32", [None, 2])],
    labels=["no", "yes"],
    scores=Scores("y", "probability"),
    self_test=SelfTest({"x": Tensor.of(ROWS[:1])}, {"y": Tensor.of(np.array([[0.5, 0.5]]))}, 1e-5),
    profile=reference_profile(ROWS),
)


def changed(**changes: Any) -> bytes:
    content = codec.plain(MANIFEST)
    for path, value in changes.items():
        *folders, last = path.split("__")
        place = content
        for folder in folders:
            place = place[int(folder) if folder.isdecimal() else folder]
        place[last] = value
    return codec.encode(content)


def test_a_manifest_comes_back_as_it_was_written_and_is_written_the_same_each_time() -> None:
    body = manifest_encode(MANIFEST)
    assert manifest_decode(body) == MANIFEST
    assert manifest_encode(manifest_decode(body)) == body


def test_tensors_keep_dtype_shape_and_values_exactly() -> None:
    again = Tensor.of(ROWS[:3]).array()
    assert again.dtype == np.float32
    assert np.array_equal(again, ROWS[:3])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (changed(digest="abc"), "digest"),
        (changed(model=""), "model"),
        (changed(scores__output="z"), "scores.output"),
        (changed(scores__kind="vibes"), "scores.kind"),
        (changed(self_test__inputs__x__shape=[5]), "self_test.inputs.x"),
        (changed(profile__features__0__counts=[1]), "features[0].counts"),
        (changed(profile__features__0__edges=[1.0] * 60 + [0.0]), "features[0].edges"),
        (b"{}", ""),
        (b"\xff\xfe", ""),
        (b" " * (MAX_MANIFEST_BYTES + 1), ""),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(InvalidMessageError) as refused:
        manifest_decode(body)
    assert refused.value.field == field


@pytest.mark.parametrize("tensor", [Tensor("nonsense", [1], [1.0]), Tensor("float32", [2, 2], [1.0])])
def test_a_tensor_that_is_none_is_refused_when_it_is_used(tensor: Tensor) -> None:
    with pytest.raises(InvalidMessageError):
        tensor.array()


def test_a_file_and_its_bytes_have_the_same_digests(tmp_path: Path) -> None:
    body = bytes(range(256)) * 9_000
    path = tmp_path / "file"
    path.write_bytes(body)
    found = digest_file(path)
    assert found == digest_bytes(body)
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert found.sha1 == hashlib.sha1(body, usedforsecurity=False).hexdigest()
    assert found.size_bytes == len(body)
