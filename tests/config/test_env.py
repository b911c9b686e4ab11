"""Reading the environment: odd values refuse to start, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.env import Environment, EnvironmentValueError, database_address, store_addresses


def test_a_missing_variable_without_default_is_named() -> None:
    with pytest.raises(EnvironmentValueError, match="DATABASE_URL is not set"):
        Environment({}).text("DATABASE_URL")


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a" * 40 + "\n")

    assert Environment({"KEY_FILE": str(secret)}).secret("KEY") == "a" * 40


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentValueError, match="KEY_FILE="):
        Environment({"KEY_FILE": str(tmp_path / "none")}).text("KEY")


def test_a_value_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentValueError, match="both set"):
        Environment({"KEY": "x", "KEY_FILE": str(tmp_path)}).text("KEY")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(EnvironmentValueError, match="at least 32"):
        Environment({"KEY": "short"}).secret("KEY")


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("on", True), ("FALSE", False), ("no", False)])
def test_flags_are_read(value: str, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert Environment({"FLAG": value}).flag("FLAG", default=not expected) is expected


def test_a_flag_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(EnvironmentValueError, match="FLAG='maybe'"):
        Environment({"FLAG": "maybe"}).flag("FLAG", default=True)


@pytest.mark.parametrize("value", ["0", "11", "ten", "", "1.5"])
def test_an_integer_outside_its_range_or_none_at_all_is_refused(value: str) -> None:
    with pytest.raises(EnvironmentValueError, match="SIZE"):
        Environment({"SIZE": value}).integer("SIZE", 5, minimum=1, maximum=10)


@pytest.mark.parametrize("value", ["example.org", "ftp://example.org", "https://"])
def test_a_url_without_scheme_and_host_is_refused(value: str) -> None:
    with pytest.raises(EnvironmentValueError, match="URL"):
        Environment({"PUBLIC": value}).url("PUBLIC")


def test_a_relative_or_missing_directory_is_refused(tmp_path: Path) -> None:
    for value in ("keys", str(tmp_path / "none")):
        with pytest.raises(EnvironmentValueError, match="KEYS"):
            Environment({"KEYS": value}).directory("KEYS")


def test_a_database_address_with_a_socket_folder() -> None:
    address = database_address("postgresql://me@/fleet?host=/run/pg&sslmode=disable")

    assert address.conninfo == {"host": "/run/pg", "dbname": "fleet", "user": "me", "sslmode": "disable"}


def test_a_database_address_with_escaped_parts() -> None:
    address = database_address("postgresql://us%40er:p%2Fw@db.example:6432/fleet")

    assert (address.user, address.password, address.host, address.port) == ("us@er", "p/w", "db.example", "6432")


@pytest.mark.parametrize("value", ["mysql://host/db", "postgresql://host/", ""])
def test_another_database_is_refused(value: str) -> None:
    with pytest.raises(EnvironmentValueError, match="DATABASE_URL"):
        database_address(value)


def test_stores_are_parsed_in_order() -> None:
    first, second = store_addresses(["main=local:///srv/artifacts", "backup=s3://bucket/prefix?region=eu-north-1"])

    assert (first.name, first.scheme, first.location) == ("main", "local", "/srv/artifacts")
    assert (second.location, second.options) == ("bucket/prefix", {"region": "eu-north-1"})


@pytest.mark.parametrize(
    "entries", [[], ["local:///srv"], ["main=ftp://x"], ["main=s3://"], ["a=local:///x", "a=local:///y"]]
)
def test_odd_stores_are_refused(entries: list[str]) -> None:
    with pytest.raises(EnvironmentValueError, match="ARTIFACT_STORES"):
        store_addresses(entries)
