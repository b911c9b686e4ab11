"""Decisions of the fleet: values in, values out."""
