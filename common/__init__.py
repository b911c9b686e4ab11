"""The small kernel every app may use: errors, ids, clock, jobs, live bus, bridge."""
