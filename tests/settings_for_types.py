"""The settings as the type checker's Django plugin reads them: real ones, over an environment that opens nothing."""

import os
import tempfile

for _name in ("FLOTILLA_KEYS_DIR", "FLOTILLA_UPLOAD_DIR", "FLOTILLA_BROKER_DIR"):
    os.environ.setdefault(_name, tempfile.gettempdir())
os.environ.setdefault("FLOTILLA_SECRET_KEY", "only-for-type-checking-" + "0" * 32)
os.environ.setdefault("FLOTILLA_PUBLIC_URL", "http://127.0.0.1")
os.environ.setdefault("DATABASE_URL", "postgresql:///flotilla")
os.environ.setdefault("ARTIFACT_STORES", "main=local:///nowhere")
os.environ.setdefault("CELERY_BROKER_URL", "filesystem://")

from config.settings import *  # noqa: E402, F403
