"""The operators' door of rollouts."""
