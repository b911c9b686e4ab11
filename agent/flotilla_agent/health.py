"""How the machine is: one sample of what the operating system tells. What cannot be measured is null."""

from __future__ import annotations

import os
import time

import psutil

from flotilla_agent.clock import Clock
from flotilla_protocol.messages import HEALTH_COLUMNS, Health


class HealthSampler:
    """Takes samples; rates (network) are those since the sample before.

    Args:
        storage: a folder on the disk whose fill is reported.
        clock: for the samples' time and the clock offset.
    """

    def __init__(self, storage: os.PathLike[str], clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._process = psutil.Process()
        self._network: tuple[float, int, int] | None = None
        psutil.cpu_percent()  # the first answer is meaningless; the next is since now

    def sample(self) -> dict[str, float | None]:
        """One value per column of ``Health``, ``ts_ms`` aside."""
        received, sent = self._network_rates()
        values: dict[str, float | None] = dict.fromkeys(HEALTH_COLUMNS)
        values.update(
            cpu_ratio=min(psutil.cpu_percent() / 100, 1.0),
            memory_used_ratio=min(psutil.virtual_memory().percent / 100, 1.0),
            storage_used_ratio=min(psutil.disk_usage(os.fspath(self._storage)).percent / 100, 1.0),
            temperature_c=_temperature_c(),
            network_rx_bytes_s=received,
            network_tx_bytes_s=sent,
            uptime_s=max(time.time() - psutil.boot_time(), 0.0),
            load_1m=os.getloadavg()[0],
            process_memory_bytes=float(self._process.memory_info().rss),
            clock_offset_s=self._clock.offset_s,
        )
        return values

    def _network_rates(self) -> tuple[float | None, float | None]:
        counters = psutil.net_io_counters()
        if counters is None:
            return None, None
        now, before = time.monotonic(), self._network
        self._network = (now, counters.bytes_recv, counters.bytes_sent)
        if before is None or now <= before[0]:
            return None, None
        elapsed = now - before[0]
        # Counters start over when an interface goes: a negative rate is none.
        received = (counters.bytes_recv - before[1]) / elapsed
        sent = (counters.bytes_sent - before[2]) / elapsed
        return (received if received >= 0 else None), (sent if sent >= 0 else None)


def health_of(rows: list[tuple[int, dict[str, float | None]]]) -> Health:
    """Samples ``(ts_ms, values)`` as columns; a column nothing was measured of is left out."""
    columns = {name: [values.get(name) for _, values in rows] for name in HEALTH_COLUMNS}
    measured = {name: column for name, column in columns.items() if any(value is not None for value in column)}
    return Health(ts_ms=[ts_ms for ts_ms, _ in rows], **measured)


def _temperature_c() -> float | None:
    """The hottest sensor; None where there is none."""
    read = getattr(psutil, "sensors_temperatures", None)
    if read is None:
        return None
    readings = [entry.current for group in read().values() for entry in group if entry.current is not None]
    return float(max(readings)) if readings else None
