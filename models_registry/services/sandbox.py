"""The parent's side of the sandbox: starts it, listens to it, ends it.

The child gets the file's path and nothing else of ours: an environment of five names without a secret, an empty working
folder, no open descriptors but its channel. What it says is bounded in length and checked before it is believed.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import flotilla_protocol
import models_registry
from models_registry.errors import ModelRejectedError, SandboxUnavailableError
from models_registry.sandbox.confinement import Limits

logger = logging.getLogger(__name__)

Progress = Callable[[float, str], None]

_MAX_ANSWER_BYTES = 32_000_000
_MAX_LOG_BYTES = 4_000
_TICK_S = 0.5
_READ_BYTES = 1 << 16
_BASE_MEMORY_BYTES = 1_500_000_000  # Python, numpy, ONNX and ONNX Runtime reserve most of it and use little
_MAX_MEMORY_BYTES = 16_000_000_000
_DIED_OF_THE_FILE = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}


def version_limits(*, model_bytes: int, evaluation_bytes: int) -> Limits:
    """What validating a version may use: room for several copies of the weights and of the rows in float64."""
    memory_bytes = _BASE_MEMORY_BYTES + 5 * model_bytes + 12 * evaluation_bytes
    return Limits(memory_bytes=min(memory_bytes, _MAX_MEMORY_BYTES), cpu_s=600, wall_s=660.0)


EVALUATION_SET_LIMITS = Limits(memory_bytes=3_000_000_000, cpu_s=20, wall_s=30.0)


def sandbox_run(
    command: str, arguments: dict[str, str], *, limits: Limits, on_progress: Progress = lambda _ratio, _text: None
) -> dict[str, Any]:
    """Run one command in a new child and wait for it.

    Args:
        command: of ``models_registry.sandbox``.
        arguments: paths it may read.
        limits: what it may use.
        on_progress: called with the child's reports, and while it is silent twice a second with -1 and an empty text;
            what it raises ends the child and is passed on.

    Raises:
        ModelRejectedError: the file's fault; the child's words, or ``time_limit``, ``crashed``, ``answer_too_large``.
        SandboxUnavailableError: not the file's fault as far as we know; worth another try.
    """
    with TemporaryDirectory(prefix="flotilla-sandbox-") as folder, _child(command, arguments, limits, folder) as child:
        answer: dict[str, Any] | None = None
        for message in _messages(child, limits.wall_s):
            if message is None:
                on_progress(-1.0, "")
            elif "progress" in message:
                ratio, text = message["progress"]
                on_progress(float(ratio), str(text)[:200])
            else:
                answer = message
        status = child.wait()
    if answer is None:
        raise _death(status)
    if "rejected" in answer:
        raise ModelRejectedError(str(answer["rejected"]["text"])[:1000], code=str(answer["rejected"]["code"])[:64])
    result: dict[str, Any] = answer["result"]
    return result


@contextmanager
def _child(command: str, arguments: dict[str, str], limits: Limits, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    # Where our packages are, however this process found them.
    roots = {Path(package.__path__[0]).parent for package in (models_registry, flotilla_protocol)}
    environment = {
        "PYTHONPATH": os.pathsep.join(sorted(map(str, roots))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": folder,
        "TMPDIR": folder,
        # One thread: more would be refused by the limit on processes, and devices are small.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    text = json.dumps({**arguments, "limits": asdict(limits)})
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "models_registry.sandbox", command, text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailableError("The validation sandbox could not be started.") from error
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdout, child.stderr):
            assert stream is not None
            stream.close()


def _messages(child: subprocess.Popen[bytes], wall_s: float) -> Iterator[dict[str, Any] | None]:
    """The child's messages as they come, and None now and then while it is silent."""
    deadline = time.monotonic() + wall_s
    log = b""
    pending = b""
    received = 0
    with selectors.DefaultSelector() as selector:
        selector.register(_stream(child.stdout), selectors.EVENT_READ)
        selector.register(_stream(child.stderr), selectors.EVENT_READ)
        while selector.get_map():
            if time.monotonic() > deadline:
                raise ModelRejectedError(
                    f"Running the model took longer than {wall_s:.0f} s and was stopped.", code="time_limit"
                )
            ready = selector.select(_TICK_S)
            if not ready:
                yield None
            for key, _ in ready:
                chunk = os.read(key.fd, _READ_BYTES)
                if not chunk:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stderr:
                    log = (log + chunk)[-_MAX_LOG_BYTES:]
                else:
                    received += len(chunk)
                    if received > _MAX_ANSWER_BYTES:
                        raise ModelRejectedError(
                            "What the model's inspection found is too large to keep.", code="answer_too_large"
                        )
                    pending += chunk
                    *lines, pending = pending.split(b"\n")
                    yield from map(_message, lines)
    if log:
        logger.info("sandbox %s: %s", child.pid, log.decode("utf-8", "replace"))


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _message(line: bytes) -> dict[str, Any]:
    """One line of the child, which may have been taken over: only the shapes we know pass."""
    try:
        message = json.loads(line)
        if "progress" in message:
            ratio, text = message["progress"]
            float(ratio), str(text)
        elif "rejected" in message:
            str(message["rejected"]["code"]), str(message["rejected"]["text"])
        else:
            message["result"].keys()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelRejectedError("The validation gave an answer that makes no sense.", code="crashed") from error
    return dict(message)


def _death(status: int) -> ModelRejectedError | SandboxUnavailableError:
    """Why a child ended without an answer."""
    if status == -signal.SIGXCPU:
        return ModelRejectedError("Running the model took more CPU time than it may use.", code="time_limit")
    if -status in {int(number) for number in _DIED_OF_THE_FILE}:
        return ModelRejectedError(
            f"Reading or running the model crashed ONNX Runtime ({signal.Signals(-status).name}).", code="crashed"
        )
    # SIGKILL is mostly the machine's out-of-memory killer, and another time there may be more of it.
    return SandboxUnavailableError("The validation sandbox ended without an answer.", context={"status": status})
