"""Planner, waves, gates, reconciler, and the device update door."""
