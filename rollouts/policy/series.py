"""Windows of many devices as arrays: per device before and after its switch, and over time for plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rollouts.policy.gates import MINIMUM_WINDOWS
from rollouts.policy.metrics import DeviceWindows

_WARM_UP: Final = 1  # windows after a switch that are left out: caches are cold


@dataclass(frozen=True)
class Arm:
    """Rows of windows, any order; all arrays ``[N]``.

    Args:
        device: int64, device numbers.
        ts_s: float64, end of the window, Unix seconds.
        value: float64, the metric; NaN where it was not measured.
        samples: int64, inferences in the window.
    """

    device: NDArray[np.int64]
    ts_s: NDArray[np.float64]
    value: NDArray[np.float64]
    samples: NDArray[np.int64]


def arm_windows(
    arm: Arm, switches: Mapping[int, float], *, is_new: NDArray[np.bool_] | None, is_cold_at_first: bool = False
) -> list[DeviceWindows]:
    """Each device's windows before and after its switch: as many before as after, and at least six if there are.

    Args:
        arm: the rows, other devices' among them.
        switches: device number -> time of its switch, Unix seconds.
        is_new: bool ``[N]``, rows of the new version: only those count as after, only others as before. None: by
            time alone.
        is_cold_at_first: a past of fewer than six windows began with the earlier version's own switch, and its first
            window is left out like the first after this one.
    """
    order = np.argsort(arm.ts_s, kind="stable")
    device, ts_s, value = arm.device[order], arm.ts_s[order], arm.value[order].astype(np.float64)
    samples = arm.samples[order]
    new = is_new[order] if is_new is not None else None
    groups: dict[int, list[int]] = {}
    for position, number in enumerate(device.tolist()):
        if number in switches:
            groups.setdefault(number, []).append(position)
    result = []
    for number, positions in groups.items():
        index = np.array(positions)
        measured = ~np.isnan(value[index])
        index = index[measured]
        is_after = ts_s[index] > switches[number]
        is_before = ~is_after
        if new is not None:
            is_after &= new[index]
            is_before &= ~new[index]
        after = index[is_after][_WARM_UP if new is not None else 0 :]
        before = index[is_before][-max(MINIMUM_WINDOWS, len(after)) :]
        if is_cold_at_first and len(before) < MINIMUM_WINDOWS:
            before = before[_WARM_UP:]
        result.append(
            DeviceWindows(
                device_id=number,
                before=float(value[before].mean()) if len(before) else None,
                before_count=len(before),
                after=float(value[after].mean()) if len(after) else None,
                after_count=len(after),
                samples=int(samples[after].sum()) if len(after) else 0,
            )
        )
    return result


def series_of(ts_s: NDArray[np.float64], value: NDArray[np.float64], *, points: int) -> dict[str, list[Any]]:
    """The mean over time in at most ``points`` steps, with its 95 % band: ``{ts, value, low, high}``."""
    keep = np.isfinite(value)
    ts_s, value = ts_s[keep], value[keep]
    if ts_s.size == 0:
        return {"ts": [], "value": [], "low": [], "high": []}
    start, end = float(ts_s.min()), float(ts_s.max())
    step = max((end - start) / points, 1e-9)
    bucket = np.minimum(((ts_s - start) / step).astype(np.int64), points - 1)
    count = np.bincount(bucket, minlength=points)
    total = np.bincount(bucket, weights=value, minlength=points)
    square = np.bincount(bucket, weights=value * value, minlength=points)
    used = np.flatnonzero(count)
    mean = total[used] / count[used]
    variance = np.maximum(square[used] / count[used] - mean * mean, 0.0)
    half = 1.96 * np.sqrt(variance / count[used])
    times = [datetime.fromtimestamp(start + (position + 0.5) * step, UTC).isoformat() for position in used.tolist()]
    return {
        "ts": times,
        "value": mean.round(6).tolist(),
        "low": (mean - half).round(6).tolist(),
        "high": (mean + half).round(6).tolist(),
    }


def merge_points(known: dict[str, list[Any]] | None, point: dict[str, Any], *, points: int) -> dict[str, list[Any]]:
    """Append one evaluation to a series, thinning it to every second point when it is full."""
    columns = ("ts", "value", "low", "high")
    merged = {name: list((known or {}).get(name, [])) for name in columns}
    if point["value"] is None:
        return merged
    for name in columns:
        merged[name].append(point[name])
    if len(merged["ts"]) > points:
        merged = {name: values[:-1][::2] + values[-1:] for name, values in merged.items()}
    return merged
