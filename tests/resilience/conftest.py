"""Fixtures of the resilience tests."""

from tests.embedded.conftest import folder

__all__ = ["folder"]  # a fixture of another module
