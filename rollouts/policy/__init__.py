"""Decisions of rollouts: pure functions of values. Nothing here reads a table, a clock or a setting."""
