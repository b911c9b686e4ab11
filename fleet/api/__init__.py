"""The operators' door of the fleet."""
