"""A Dockerfile as data: stages of instructions."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """One line, continuations joined: ``RUN``, ``COPY`` and so on, with the rest as text."""

    name: str
    text: str


@dataclass
class Stage:
    """What stands between one ``FROM`` and the next."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [instruction.text for instruction in self.instructions if instruction.name == name]

    def environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for text in self.all("ENV") for entry in shlex.split(text))


@dataclass(frozen=True)
class Copy:
    """A ``COPY``: from another stage, or from the context when ``stage`` is empty."""

    stage: str
    sources: list[str]
    target: str


def copy_parse(text: str) -> Copy:
    words = shlex.split(text)
    stage = ""
    if words[0].startswith("--from="):
        stage = words.pop(0).removeprefix("--from=")
    return Copy(stage, words[:-1], words[-1])


def command_parse(text: str) -> list[str]:
    """The exec form of ``CMD``; anything else is a fault."""
    words: list[str] = json.loads(text)
    return words


def stages(path: Path = DOCKERFILE) -> tuple[dict[str, str], list[Stage]]:
    """The arguments with their defaults, and the stages in order."""
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")
    ]
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, text = line.partition(" ")
        text = " ".join(text.split())
        if name == "FROM":
            words = [word for word in text.split() if not word.startswith("--")]
            found.append(Stage(name=words[2], base=words[0]))
        elif name == "ARG" and not found:
            key, _, value = text.partition("=")
            arguments[key] = value
        else:
            found[-1].instructions.append(Instruction(name, text))
    return arguments, found
