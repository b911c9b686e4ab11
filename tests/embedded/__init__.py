"""The embedded installation: bootstrap, supervisor, database."""
