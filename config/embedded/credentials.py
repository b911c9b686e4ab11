"""Secrets of one installation: made at random once, kept in files only their owner reads."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from config.embedded.state import State, write_private

SECRET_BYTES = 48


def secret_file(state: State, name: str) -> Path:
    """The file with one random secret of this installation; made when missing."""
    path = state.secrets / name
    if not path.exists():
        write_private(path, secrets.token_urlsafe(SECRET_BYTES))
    return path


@dataclass(frozen=True)
class Login:
    """The first person of an organization, and their API token."""

    organization: str
    username: str
    password: str
    api_token: str


def login_path(state: State, name: str) -> Path:
    """Where a login is kept."""
    return state.secrets / f"{name}.json"


def login_store(state: State, answer: bytes, name: str = "login") -> Login:
    """Keep what ``manage.py flotilla_init`` printed.

    Raises:
        ValueError: it is not the JSON object that was agreed on.
    """
    login = _parse(answer)
    write_private(login_path(state, name), msgspec.json.encode(login).decode())
    return login


def login_load(state: State, name: str = "login") -> Login | None:
    """The login made at an earlier start; None when there is none, or its file is damaged."""
    try:
        return _parse(login_path(state, name).read_bytes())
    except (OSError, ValueError):
        return None


def _parse(text: bytes) -> Login:
    value: Any = msgspec.json.decode(text)
    return msgspec.convert(value, Login)
