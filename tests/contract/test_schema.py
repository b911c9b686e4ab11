"""What is committed says what the code does: OpenAPI, migrations, the documents' words."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import yaml
from django.apps import apps
from django.core.management import call_command

from tests.contract.surface import endpoints

ROOT = Path(__file__).resolve().parents[2]
OPENAPI = ROOT / "docs" / "api" / "openapi.yaml"
OURS = {"common", "governance", "fleet", "models_registry", "telemetry", "rollouts", "insights"}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("openapi") / "openapi.yaml"
    call_command("spectacular", file=str(path), validate=True, fail_on_warn=True)
    return path.read_text(encoding="utf-8")


def test_the_committed_openapi_document_is_the_codes(generated: str) -> None:
    assert OPENAPI.read_text(encoding="utf-8") == generated, "run `make openapi` and commit the difference"


def test_every_endpoint_is_described_with_its_ways_in(generated: str) -> None:
    document = yaml.safe_load(generated)
    for endpoint in endpoints():
        operation = document["paths"][f"/api/v1/{endpoint.path}"][endpoint.method.lower()]
        assert operation.get("description"), f"{endpoint} says nothing about itself"
        assert operation["security"], str(endpoint)


def test_migrations_are_complete(db: None) -> None:
    call_command("makemigrations", check_changes=True, dry_run=True, stdout=io.StringIO())


def test_every_customers_table_names_the_organization() -> None:
    """Or hangs on a row that does; telemetry's rows carry the device, which does."""
    exceptions = {"Organization", "User", "SignInBudget"}
    for model in apps.get_models():
        if model._meta.app_label not in OURS or model.__name__ in exceptions:
            continue
        fields = {field.name for field in model._meta.get_fields() if field.concrete}
        columns = {getattr(field, "column", "") for field in model._meta.get_fields() if field.concrete}
        parents = {"device", "rollout", "deployment", "version", "action", "artifact"}
        assert "organization_id" in columns or fields & parents or "device_id" in columns, model.__name__


# --- Words ----------------------------------------------------------------------------------------
def glossary() -> set[str]:
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {word.strip().replace(" ", "-") for row in rows[2:] for word in row.split(",")}


def test_resources_are_called_by_the_glossarys_words() -> None:
    # Words of the trade that need no entry.
    plain = {"session", "people", "api-tokens", "audit", "overview", "tour", "drift", "uploads"}
    plural = {f"{word}s" for word in glossary()}
    for endpoint in endpoints():
        assert endpoint.resource in plural | plain, f"{endpoint.resource} is not in docs/glossary.md"


def test_the_api_avoids_other_words_for_the_same_things(generated: str) -> None:
    document = yaml.safe_load(generated)
    other_words = {
        "campaign": "rollout",
        "edge_device": "device",
        "endpoint": "device",
        "firmware": "version",
        "node": "device",
        "phase": "wave",
        "stage": "wave",
        "status": "state",
        "tag": "label",
        "target_device": "device",
    }
    for name, schema in document["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            assert field not in other_words, f"{name}.{field}: say {other_words[field]}"
