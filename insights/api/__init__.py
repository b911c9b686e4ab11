"""The operators' door of insights."""
