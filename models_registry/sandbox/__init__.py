"""A process of its own for files nobody has looked at yet (``python -m models_registry.sandbox``).

Neither this package nor what it imports knows Django, settings, the database or a secret: a file that takes the process
over finds nothing. The parent's side is ``models_registry/services/sandbox.py``.
"""
