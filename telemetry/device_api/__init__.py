"""The device door of telemetry."""
