"""The formats we know; a new one is a module beside this and a line here."""

from __future__ import annotations

from pathlib import Path

from models_registry.errors import ModelRejectedError
from models_registry.inspection.base import Inspector
from models_registry.inspection.onnx_format import OnnxInspector

INSPECTORS: tuple[Inspector, ...] = (OnnxInspector(),)


def inspector_for(path: Path) -> Inspector:
    """The inspector of the file's format.

    Raises:
        ModelRejectedError: ``unknown_format``.
    """
    for inspector in INSPECTORS:
        if inspector.recognises(path):
            return inspector
    known = ", ".join(inspector.format for inspector in INSPECTORS)
    raise ModelRejectedError(
        f"The file is not a model of a format known here ({known}). Was the whole file uploaded?", code="unknown_format"
    )
