"""``docker/compose.yaml`` against the compose specification's schema, and against what an operator relies on."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker.dockerfile import ROOT

FOLDER = ROOT / "docker"
COMPOSE = FOLDER / "compose.yaml"
ONE_SHOT = {"tables", "authorities"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def test_it_follows_the_compose_specification() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_all_processes_of_the_product_and_its_neighbours_are_there(compose: dict[str, Any]) -> None:
    services = set(compose["services"])
    assert {"web", "gateway", "worker-main", "worker-artifacts", "beat"} <= services
    assert {"postgres", "rabbitmq", "mosquitto", "nginx", "prometheus", "grafana"} <= services
    product = {name for name, service in compose["services"].items() if "build" in service}
    assert {compose["services"][name]["image"] for name in product} == {"${FLOTILLA_IMAGE:-flotilla}"}
    assert product == {"web", "gateway", "worker-main", "worker-artifacts", "beat"} | ONE_SHOT


def test_every_queue_is_served_by_exactly_one_kind_of_worker(compose: dict[str, Any]) -> None:
    queues: list[str] = []
    for service in compose["services"].values():
        command = service.get("command", [])
        if "--queues" in command:
            queues += command[command.index("--queues") + 1].split(",")
    assert sorted(queues) == ["artifacts", "default", "rollouts", "telemetry"]


def test_every_lasting_service_restarts_has_a_memory_limit_and_bounded_logs(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["logging"]["options"]["max-size"], name
        assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped"), name
        assert "no-new-privileges:true" in service.get("security_opt", []) or name in {
            "postgres",
            "rabbitmq",
            "mosquitto",
        }, name


def test_dependencies_wait_for_health_or_completion(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if other in ONE_SHOT:
                assert how["condition"] == "service_completed_successfully", (name, other)
            else:
                assert how["condition"] == "service_healthy", (name, other)
                check = services[other].get("healthcheck", {})
                # web and gateway have the image's own.
                assert "test" in check or other in {"web", "gateway"}, (name, other)


def test_only_nginx_is_reached_from_outside_and_grafana_from_this_machine(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"nginx", "grafana"}
    assert all(port.startswith("127.0.0.1:") for port in published["grafana"])
    assert compose["networks"]["inside"]["internal"] is True
    for name in ("postgres", "rabbitmq", "mosquitto", "prometheus"):
        assert compose["services"][name]["networks"] == ["inside"]


def test_no_secret_stands_in_the_file() -> None:
    for line in COMPOSE.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.strip().partition(": ")
        if separator and re.search(r"SECRET|PASSWORD|_PASS$", name):
            assert re.fullmatch(r"\$\{[A-Z_]+(?::\?[^}]+|:-)\}", value.partition(" #")[0]), line


def test_variables_without_a_default_are_exactly_what_make_env_writes(tmp_path: Path) -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    required = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    made = subprocess.run(
        [sys.executable, str(FOLDER / "make_env.py"), "a.example.org", "--folder", str(tmp_path), "--self-signed"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "wrote" in made.stdout
    lines = (tmp_path / ".env").read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    # MQTT_PASSWORD belongs to a profile, so the file cannot demand it.
    assert set(values) == required | {"MQTT_PASSWORD"}
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert len(values["FLOTILLA_SECRET_KEY"]) >= 32
    assert len({value for name, value in values.items() if "PASSWORD" in name}) == 4


def test_make_env_never_overwrites_what_exists(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FLOTILLA_SECRET_KEY=precious\n")
    answer = subprocess.run(
        [sys.executable, str(FOLDER / "make_env.py"), "a.example.org", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert (tmp_path / ".env").read_text() == "FLOTILLA_SECRET_KEY=precious\n"


def test_the_settings_accept_what_compose_hands_to_the_product(compose: dict[str, Any], tmp_path: Path) -> None:
    given = compose["services"]["web"]["environment"]
    values = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings"}
    sample = {
        "FLOTILLA_SECRET_KEY": "x" * 40,
        "FLOTILLA_PUBLIC_URL": "https://flotilla.example.org",
        "FLOTILLA_ALLOWED_HOSTS": "flotilla.example.org",
        "DEVICE_URL": "https://devices.example.org:8443",
        "POSTGRES_PASSWORD": "p",
        "RABBITMQ_PASSWORD": "r",
    }
    for name, value in given.items():
        values[name] = re.sub(r"\$\{([A-Z_]+)(?::[?-]([^}]*))?\}", lambda m: sample.get(m[1], m[2] or ""), str(value))
    for name in ("FLOTILLA_KEYS_DIR", "FLOTILLA_UPLOAD_DIR"):
        (tmp_path / name).mkdir()
        values[name] = str(tmp_path / name)
    program = (
        "import json; from django.conf import settings as s; d = s.DATABASES['default'];"
        "print(json.dumps([d['HOST'], d['PASSWORD'], s.CELERY_BROKER_URL, s.ALLOWED_HOSTS, s.SESSION_COOKIE_SECURE]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=values, capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(printed) == [
        "postgres",
        "p",
        "amqp://flotilla:r@rabbitmq:5672//",
        ["flotilla.example.org", "web", "gateway"],
        True,
    ]


def test_mounted_files_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (FOLDER / source).exists(), source
            elif not source.startswith("$"):
                assert source in compose["volumes"], source
