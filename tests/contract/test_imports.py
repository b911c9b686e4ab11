"""Who may import whom; the picture is in ``docs/developers/architecture.md``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from importlinter import configuration
from importlinter.application.use_cases import SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[2]
APPS = ("common", "governance", "fleet", "models_registry", "telemetry", "rollouts", "insights", "config")


def test_imports_point_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    configuration.configure()
    outcome = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None)
    assert outcome == SUCCESS, capsys.readouterr().out


def app_imported(node: ast.AST) -> str:
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return (node.module or "").partition(".")[0]
    if isinstance(node, ast.Import):
        return node.names[0].name.partition(".")[0]
    return ""


def test_no_function_hides_an_import_of_another_app() -> None:
    """An import inside a function is how cycles are hidden; Django's ``ready()`` hooks are the one honest use."""
    hidden = []
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for function in ast.walk(tree):
                if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or function.name == "ready":
                    continue
                for node in ast.walk(function):
                    imported = app_imported(node)
                    if imported in APPS and imported != app:
                        hidden.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {imported}")  # type: ignore[attr-defined]
    assert hidden == []
