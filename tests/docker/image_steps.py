"""Runs the Dockerfile's steps by hand, below a folder instead of in a container.

There is no Docker engine where these tests run, so this is as near as they get: the same commands in the same order,
with ``/opt/flotilla`` and ``/var/lib/flotilla`` moved below a folder of the test, on this machine's Python and Node
instead of the base images'. What needs a container (users, base images, architectures) is not shown by it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docker.dockerfile import ROOT, Instruction, Stage, copy_parse, stages

_OURS = re.compile(r"/(?:opt|var/lib)/flotilla\b")
# Steps about users of the image; this machine has no such user and must not get one.
_ONLY_INSIDE = ("groupadd",)
_DOWNLOADS = ("npm ", "pip install", "-m venv", "venv/bin/python")


def _ignored() -> list[str]:
    rules = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    return [rule for rule in rules if rule and not rule.startswith(("#", "!")) and rule != "*"]


def _context_ignore(folder: str, names: list[str]) -> set[str]:
    """What of a folder of the checkout the builder would not be sent."""
    relative = Path(folder).resolve().relative_to(ROOT)
    return {
        name
        for name in names
        for rule in _ignored()
        if fnmatch.fnmatch(str(relative / name), rule) or (rule.startswith("**/") and fnmatch.fnmatch(name, rule[3:]))
    }


@dataclass
class ByHand:
    """One run of the steps.

    Args:
        folder: each stage gets a root of its own below it.
        log: takes the commands' output.
        downloads: also do what needs the network: packages and the dashboard. Without it they are left out.
    """

    folder: Path
    log: Path
    downloads: bool

    def build(self) -> Stage:
        """Run every stage; returns the last one."""
        _, found = stages()
        for stage in found:
            self._stage(stage)
        return found[-1]

    def place(self, stage: str, path: str) -> Path:
        """Where an absolute path of a stage is here."""
        return self.folder / stage / path.lstrip("/")

    def text(self, stage: str, text: str) -> str:
        """A command with our paths moved."""
        return _OURS.sub(lambda match: str(self.place(stage, match[0])), text)

    def _stage(self, stage: Stage) -> None:
        workdir = self.place(stage.name, "/")
        workdir.mkdir(parents=True)
        for instruction in stage.instructions:
            if instruction.name == "WORKDIR":
                workdir = self.place(stage.name, instruction.text)
                workdir.mkdir(parents=True, exist_ok=True)
            elif instruction.name == "COPY":
                self._copy(stage, instruction, workdir)
            elif instruction.name == "RUN":
                self._run(stage, instruction.text, workdir)

    def _copy(self, stage: Stage, instruction: Instruction, workdir: Path) -> None:
        copy = copy_parse(instruction.text)
        target = self.place(stage.name, copy.target) if copy.target.startswith("/") else workdir / copy.target
        for source, path in self._sources(copy.stage, copy.sources):
            if path.is_dir():
                ignore = None if copy.stage else _context_ignore
                shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True, ignore=ignore)
            else:
                into = target / Path(source).name if copy.target.endswith(("/", ".")) else target
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, into)

    def _sources(self, stage: str, sources: list[str]) -> Iterator[tuple[str, Path]]:
        for source in sources:
            path = self.place(stage, source) if stage else ROOT / source
            if stage and not self.downloads:
                continue  # made by steps that were left out
            yield source, path

    def _run(self, stage: Stage, text: str, workdir: Path) -> None:
        commands = [part.strip() for part in text.split("&&")]
        if commands[0].startswith(_ONLY_INSIDE):
            return
        for command in commands:
            if command.startswith("chown") and os.geteuid() != 0:
                continue
            if not self.downloads and any(word in command for word in _DOWNLOADS):
                continue
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith(("FLOTILLA_", "PYTHON"))},
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            }
            with self.log.open("ab") as output:
                output.write(f"\n== {stage.name}: {command}\n".encode())
                output.flush()
                done = subprocess.run(
                    ["/bin/sh", "-c", self.text(stage.name, command)],
                    cwd=workdir,
                    env=environment,
                    stdout=output,
                    stderr=output,
                    check=False,
                )
            assert done.returncode == 0, f"{command}\n{self.log.read_text()[-4000:]}"
