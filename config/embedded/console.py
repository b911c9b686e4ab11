"""What the person in front of the terminal sees: one moving line per step, one clear line per failure.

Standard library only: the bootstrap uses this before any package is installed.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Self, TextIO

_QUIET_INTERVAL_S = 20  # where nothing can move (a pipe, a CI log), a sign of life this often


class StartError(Exception):
    """Starting is impossible; the text is the one line a person needs.

    Args:
        text: what is wrong and what to do about it.
        log: the file that tells more, if any.
    """

    def __init__(self, text: str, *, log: Path | None = None) -> None:
        super().__init__(text)
        self.log = log

    def line(self) -> str:
        """The text and where to read on."""
        return f"{self}" + (f" (details: {self.log})" if self.log else "")


class Step:
    """One line on the terminal that moves while something is being done.

    Use as a context manager; leaving it without an exception marks the step as done, and nothing is shown of a step
    that took no time at all.
    """

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self.title = title
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._spoke = self._started
        self._moves = self._stream.isatty()

    def __enter__(self) -> Self:
        self._show("")
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        seconds = time.monotonic() - self._started
        outcome = "done"
        if error_type is not None:
            outcome = "stopped" if issubclass(error_type, KeyboardInterrupt) else "failed"
        self._write(f"  {self.title}: {outcome} in {seconds:.1f} s", end="\n")

    def tick(self, detail: str = "") -> None:
        """Show that the step goes on; call a few times per second."""
        if self._moves:
            self._show(detail)
        elif time.monotonic() - self._spoke > _QUIET_INTERVAL_S:
            self._write(f"  {self.title}: {time.monotonic() - self._started:.0f} s  {detail[:80]}", end="\n")
            self._spoke = time.monotonic()

    def _show(self, detail: str) -> None:
        if self._moves:
            seconds = time.monotonic() - self._started
            sign = "|/-\\"[int(seconds * 5) % 4]
            self._write(f"{sign} {self.title}  {seconds:.0f} s  {detail}", end="")

    def _write(self, text: str, *, end: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        if self._moves:
            text = "\r" + text[:width].ljust(width)
        self._stream.write(text + end)
        self._stream.flush()


def say(text: str, stream: TextIO | None = None) -> None:
    """Write one line."""
    print(text, file=stream or sys.stderr, flush=True)


def last_line(log: Path, *, limit_bytes: int = 4000) -> str:
    """The last line of a log that says something, without control characters; empty when there is none."""
    lines = _last_lines(log, limit_bytes)
    return lines[-1] if lines else ""


def error_line(log: Path, *, limit_bytes: int = 4000) -> str:
    """The last line of a log that speaks of an error, else the last line; empty when there is none."""
    lines = _last_lines(log, limit_bytes)
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")


def _last_lines(log: Path, limit_bytes: int) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - limit_bytes))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = ("".join(filter(str.isprintable, line)).strip() for line in text.replace("\r", "\n").splitlines())
    return [line for line in lines if line]
