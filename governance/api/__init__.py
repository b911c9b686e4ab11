"""The operators' door of governance."""
