"""Puts ``flotilla_protocol``, which lives beside this folder, into what is built here.

A wheel and a source archive carry its files; an editable install must not (a copy would hide later changes), it finds
them through ``dev-mode-dirs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "flotilla_protocol"


class ProtocolBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the package to wheels and source archives."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a build; ``version`` is ``standard`` or ``editable``."""
        if version == "editable":
            return
        root = Path(self.root)
        beside = root.parent / "protocol" / PACKAGE
        # Built from a source archive, the package lies in the archive itself.
        source = beside if beside.is_dir() else root / PACKAGE
        build_data["force_include"][str(source)] = PACKAGE
