"""The reference device agent: enrols, runs models, updates them safely, and proves what runs. No Django."""

__version__ = "0.1.0"
