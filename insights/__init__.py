"""Read only, on top of all: overview, jobs, the tour."""
