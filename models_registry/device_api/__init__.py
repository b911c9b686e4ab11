"""The device door of the registry."""
