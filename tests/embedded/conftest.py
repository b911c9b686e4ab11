"""A toy installation per test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.installation import RunningInstallation


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a space in its name. Not pytest's: that is closed to the database's own user by every new run."""
    path = Path(tempfile.mkdtemp(prefix="flotilla embedded "))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def installation(folder: Path) -> Iterator[RunningInstallation]:
    running = RunningInstallation(folder / "state")
    yield running
    running.end()


@pytest.fixture
def ready(installation: RunningInstallation) -> RunningInstallation:
    installation.start()
    installation.wait_until_ready()
    return installation
