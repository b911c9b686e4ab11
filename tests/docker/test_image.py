"""What can be said of the image without building it; ``make soak ONLY=image`` runs its steps by hand."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from tests.docker.dockerfile import ROOT, Stage, command_parse, copy_parse, stages

ARGUMENTS, STAGES = stages()
RUNTIME = STAGES[-1]
FIRST_PARTY = ("config", "common", "governance", "fleet", "models_registry", "telemetry", "rollouts", "insights")


def _context_files() -> set[str]:
    """Files of the checkout that the builder would be sent."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    rules = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    wanted = tuple(rule[1:] for rule in rules if rule.startswith("!"))
    return {name for name in listed if name.startswith(tuple(f"{entry}/" for entry in wanted)) or name in wanted}


def _copies(stage: Stage) -> list[str]:
    return [
        source.rstrip("/")
        for text in stage.all("COPY")
        if not copy_parse(text).stage
        for source in copy_parse(text).sources
    ]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_everything_copied_is_in_the_context(stage: Stage) -> None:
    files = _context_files()
    for source in _copies(stage):
        assert any(name == source or name.startswith(f"{source}/") for name in files), source


def test_every_package_the_product_imports_is_copied() -> None:
    copied = set(_copies(RUNTIME))
    imported: set[str] = set()
    for package in FIRST_PARTY:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    imported.add(node.module.split(".")[0])
    ours = {name for name in imported if (ROOT / name / "__init__.py").exists()}
    assert ours <= copied
    assert "flotilla_protocol" in imported
    assert "protocol" in copied


def test_the_process_is_not_root_and_says_how_it_is() -> None:
    assert RUNTIME.all("USER") == ["10001:10001"]
    assert RUNTIME.instructions[-1].name == "CMD"
    assert command_parse(RUNTIME.all("CMD")[0])[0] == "python"
    assert "/healthz" in RUNTIME.all("HEALTHCHECK")[0]


def test_no_secret_has_a_value_in_the_image() -> None:
    for stage in STAGES:
        for name in stage.environment():
            assert not any(word in name for word in ("SECRET", "PASSWORD", "TOKEN")), name
    assert not any(word in name for name in ARGUMENTS for word in ("SECRET", "PASSWORD", "TOKEN"))


def test_base_images_have_versions_and_packages_are_checked_by_digest() -> None:
    for image in ARGUMENTS.values():
        _, _, tag = image.partition(":")
        assert tag[0].isdigit(), image
    installs = [text for stage in STAGES for text in stage.all("RUN") if "pip install" in text]
    assert installs
    assert all("--require-hashes" in text for text in installs)


def test_secrets_and_state_are_not_sent_to_the_builder() -> None:
    rules = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert rules[1] == "*"
    for name in ("!docker", "!.flotilla", "!.git", "!tests"):
        assert name not in rules
    assert not any(Path(name).name == ".env" for name in _context_files())
