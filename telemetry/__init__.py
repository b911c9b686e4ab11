"""Ingest, health and inference series, drift, alerts, live streams."""
