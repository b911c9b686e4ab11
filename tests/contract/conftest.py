"""A world that has everything, and people inside and outside it."""

from __future__ import annotations

import pytest

from governance.models import Organization
from tests.contract.surface import World, world_make


@pytest.fixture
def world(organization: Organization) -> World:
    """One of everything of the organization ``acme``."""
    return world_make(organization)
