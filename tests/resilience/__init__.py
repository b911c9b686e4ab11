"""The whole installation while its processes die."""
