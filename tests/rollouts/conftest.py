"""A gateway in this process, and devices that speak to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common import live
from rollouts.live import publisher
from tests.rollouts.door import Door


@pytest.fixture
def door(transactional_db: None) -> Iterator[Door]:
    """The device doors, with their own event loop."""
    door = Door()
    yield door
    door.close()
    publisher.stop()
    live.flush()
