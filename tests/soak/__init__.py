"""The long forms: more kills, more devices. Run by `make soak ONLY=<name>`."""
