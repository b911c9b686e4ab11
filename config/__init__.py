"""The composition root: settings, URLs, ASGI, Celery, and the embedded supervisor."""
