"""The devices' door of the fleet."""
