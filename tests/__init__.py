"""Flotilla's tests."""
