"""The operators' door of telemetry."""
