"""Stop signals and ended children wake the supervisor's one thread."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator


class StopSignals:
    """Counts requests to stop, and wakes :meth:`wait`.

    Signals only set numbers; nothing happens inside a handler, except within :meth:`interrupting`.
    """

    def __init__(self) -> None:
        self.count = 0
        self._interrupts = False
        self._reader, self._writer = os.pipe()
        for descriptor in (self._reader, self._writer):
            os.set_blocking(descriptor, False)

    def install(self) -> None:
        """Take over SIGINT, SIGTERM, SIGHUP (unless it is ignored, as under nohup) and SIGCHLD."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._requested)

    def _requested(self, _number: int, _frame: object) -> None:
        self.count += 1
        if self._interrupts:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within the block a request raises KeyboardInterrupt, so that waiting steps end at once."""
        if self.count:
            raise KeyboardInterrupt
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False

    def wait(self, timeout_s: float) -> None:
        """Sleep until a signal arrives, a child ends, or the time is over."""
        readable, _, _ = select.select([self._reader], [], [], max(0.0, timeout_s))
        if readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)
