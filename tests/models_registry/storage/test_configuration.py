"""A store that is described wrongly stops the start, and the text names it and never its secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from pytest_django import Settings

from config.env import EnvironmentValueError, StoreAddress, store_addresses
from models_registry.checks import stores_can_be_opened, stores_survive_the_machine
from models_registry.errors import StoreConfigurationError
from models_registry.storage.registry import default_store, store_named, store_open

SECRET = "do-not-tell"


@pytest.mark.parametrize(
    ("scheme", "location", "options", "secret", "text"),
    [
        ("local", "relative/folder", {}, "", "not absolute"),
        ("local", "/tmp", {"region": "x"}, "", "unknown option 'region'; known for local: none"),  # noqa: S108
        ("s3", "bucket", {}, SECRET, "ACCESS_KEY_ID:SECRET_ACCESS_KEY"),
        ("s3", "bucket", {}, f":{SECRET}", "ACCESS_KEY_ID:SECRET_ACCESS_KEY"),
        ("s3", "bucket", {"addressing_style": "sideways"}, "", "auto, path, virtual"),
        ("gs", "bucket", {}, SECRET, "not a service account's key file"),
        ("gs", "bucket", {}, '{"type": "user"}', "not a service account's key file"),
        ("azure", "account", {}, SECRET, "not account/container"),
        ("azure", "account/container", {}, "", "ARTIFACT_STORE_ODD_SECRET"),
        ("ftp", "host", {}, "", "unknown scheme 'ftp'"),
    ],
)
def test_a_store_described_wrongly_is_refused(
    scheme: str, location: str, options: dict[str, str], secret: str, text: str
) -> None:
    address = StoreAddress(name="odd", scheme=scheme, location=location, options=options, secret=secret)
    with pytest.raises(StoreConfigurationError) as caught:
        store_open(address)
    assert "'odd'" in str(caught.value)
    assert text in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(address)


def test_each_store_has_a_secret_of_its_own() -> None:
    secrets = {"eu": "a:b", "us": "c:d"}
    entries = ["eu=s3://one", "us=s3://two/below?region=us-east-1"]
    eu, us = store_addresses(entries, secret=lambda name: secrets[name])
    assert (eu.secret, us.secret) == ("a:b", "c:d")
    assert (us.location, us.options) == ("two/below", {"region": "us-east-1"})
    with pytest.raises(EnvironmentValueError, match="used twice"):
        store_addresses(["eu=s3://one", "eu=s3://two"])


def test_the_first_store_takes_what_is_new_and_a_store_is_opened_once(settings: Settings, tmp_path: Path) -> None:
    settings.ARTIFACT_STORES = store_addresses([f"new=local://{tmp_path}/new", f"old=local://{tmp_path}/old"])
    assert default_store().name == "new"
    assert store_named("old") is store_named("old")
    with pytest.raises(StoreConfigurationError, match="no store 'gone'"):
        store_named("gone")


def test_checks_name_what_is_wrong(settings: Settings, tmp_path: Path) -> None:
    settings.ARTIFACT_STORES = store_addresses([f"main=local://{tmp_path}"])
    assert stores_can_be_opened(None) == []
    assert [problem.id for problem in stores_survive_the_machine(None)] == ["models_registry.W001"]
    settings.ARTIFACT_STORES = store_addresses([f"main=local://{tmp_path}", "cloud=azure://account/container"])
    (problem,) = stores_can_be_opened(None)
    assert (problem.id, problem.level) == ("models_registry.E001", checks.ERROR)
    assert stores_survive_the_machine(None) == []


def test_a_check_takes_what_django_gives_it() -> None:
    arguments: dict[str, Any] = {"databases": None}
    assert stores_can_be_opened(None, **arguments) == []
