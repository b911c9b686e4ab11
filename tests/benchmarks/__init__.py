"""The harness that measures figures."""
