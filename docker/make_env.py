"""Write ``docker/.env`` with random secrets, and a certificate for a first try. Standard library and openssl only.

    python3 docker/make_env.py flotilla.example.org [devices.example.org] [--self-signed]

What exists is never overwritten: the secrets of a running installation are worth more than new ones.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SECRETS = ("FLOTILLA_SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "GRAFANA_PASSWORD", "MQTT_PASSWORD")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)


def environment_text(people: str, devices: str, tls: Path) -> str:
    """The file's text. Secrets are URL-safe: they stand inside addresses."""
    lines = [
        "# Read by docker compose. Keep it secret and keep a copy: with it and the volumes an installation is whole.",
        *(f"{name}={secrets.token_urlsafe(36)}" for name in SECRETS),
        f"FLOTILLA_PUBLIC_URL=https://{people}",
        f"DEVICE_URL=https://{devices}:8443",
        f"FLOTILLA_ALLOWED_HOSTS={','.join(dict.fromkeys([people, devices]))}",
        f"FLOTILLA_TLS_DIR={tls}",
    ]
    return "\n".join(lines) + "\n"


def self_signed(folder: Path, hosts: list[str]) -> None:
    """A certificate of our own making for a first try; devices and browsers must be told to trust it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = ",".join(f"DNS:{host}" for host in hosts)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "90", "-subj", f"/CN={hosts[0]}", "-addext", f"subjectAltName={names}"),
            *("-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")),
        ],
        check=True,
        capture_output=True,
    )
    (folder / "tls.key").chmod(0o600)


def main(arguments: list[str]) -> int:
    """Write what is missing; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make_env.py", description=__doc__)
    parser.add_argument("people", help="host name of the dashboard and the API")
    parser.add_argument("devices", nargs="?", help="host name of the device doors; the same when left out")
    parser.add_argument("--self-signed", action="store_true", help="also make a certificate for a first try")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where .env and tls/ are written")
    options = parser.parse_args(arguments)
    people, devices = options.people, options.devices or options.people
    for host in (people, devices):
        if not _HOST.fullmatch(host):
            parser.error(f"{host!r} is no host name")
    target = options.folder / ".env"
    tls = options.folder / "tls"
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{target} exists and was left as it is")
        return 1
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(environment_text(people, devices, tls.resolve()))
    print(f"wrote {target}")
    if options.self_signed and not (tls / "tls.crt").exists():
        self_signed(tls, list(dict.fromkeys([people, devices])))
        print(f"wrote {tls}/tls.crt for a first try")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
