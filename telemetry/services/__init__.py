"""What telemetry writes."""
