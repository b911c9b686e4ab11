"""Durable background work: a task is only a nudge, the work is a row (``docs/developers/jobs.md``)."""
