"""Decisions of telemetry: values in, values out."""
