"""The real agents: ``flotilla-agent`` in processes of their own, started again when they die, gone when we are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from config.embedded.death import die_with_parent
from demo.world import Member
from flotilla_agent.inference.perturbation import Perturbation, PerturbationFile

log = logging.getLogger(__name__)

RATE_HZ = 50.0  # pictures per second
STOP_PATIENCE_S = 5.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
STEADY_AFTER_S = 30.0
_LOG_BYTES = 2_000_000


@dataclass
class RealAgent:
    """One agent's process.

    Args:
        member: which device it is.
        server: address of the device doors.
        tenant: the organization's slug.
        folder: its state folder; beside it stands its log.
        source: the camera's pictures.
    """

    member: Member
    server: str
    tenant: str
    folder: Path
    source: Path
    token: str = ""
    process: asyncio.subprocess.Process | None = field(default=None, init=False)

    @property
    def is_enrolled(self) -> bool:
        """Whether it has its certificate."""
        return (self.folder / "identity" / "enrolment.json").exists()

    def perturb(self, perturbation: Perturbation) -> None:
        """Change what its camera sees; a running agent follows within a second."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        PerturbationFile(self.folder / "control.json").write(perturbation)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep it running until ``stop``; a process that keeps dying is started ever more slowly."""
        pause = FIRST_PAUSE_S
        while not stop.is_set():
            started = asyncio.get_running_loop().time()
            await self._once(stop)
            if stop.is_set():
                return
            if asyncio.get_running_loop().time() - started > STEADY_AFTER_S:
                pause = FIRST_PAUSE_S
            log.warning("%s ended; starting it again in %.1f s", self.member.controller_id, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _once(self, stop: asyncio.Event) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder.with_suffix(".log")
        mode = "wb" if path.exists() and path.stat().st_size > _LOG_BYTES else "ab"
        with path.open(mode) as output:
            self.process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # the demo runs in one thread that lives as long as it
            )
        ended = asyncio.create_task(self.process.wait())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            await self._end(self.process)
            await ended

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_PATIENCE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    def _command(self) -> list[str]:
        options = {
            "--server": self.server,
            "--tenant": self.tenant,
            "--id": self.member.controller_id,
            "--name": self.member.name,
            "--profile": self.member.profile.name,
            "--state": str(self.folder),
            "--source": str(self.source),
            "--rate": str(RATE_HZ),
        }
        if self.token and not self.is_enrolled:
            options["--token"] = self.token
        return [sys.executable, "-m", "flotilla_agent", "run", *(part for pair in options.items() for part in pair)]
