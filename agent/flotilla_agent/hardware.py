"""What this machine is made of, for enrolment."""

from __future__ import annotations

import platform
from pathlib import Path

import onnxruntime
import psutil

from flotilla_protocol.messages import Hardware

_PLAIN_PROVIDERS = {"CPUExecutionProvider", "AzureExecutionProvider"}


def hardware_found(profile: str) -> Hardware:
    """The hardware as found; ``profile`` names the hardware profile the device belongs to."""
    accelerators = [
        name.removesuffix("ExecutionProvider")
        for name in onnxruntime.get_available_providers()
        if name not in _PLAIN_PROVIDERS
    ]
    return Hardware(
        profile=profile,
        architecture=platform.machine(),
        cpu=_cpu_name()[:256],
        cpu_count=psutil.cpu_count() or 0,
        memory_bytes=psutil.virtual_memory().total,
        accelerators=accelerators,
        runtimes=[f"onnxruntime {onnxruntime.__version__}"],
    )


def attributes_found() -> dict[str, str]:
    """What the device reports of itself beside its hardware."""
    return {"os": platform.platform()[:256], "python": platform.python_version()}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
