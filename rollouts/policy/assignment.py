"""Which device goes into which wave: stratified, by hash, reproducible by anybody.

A device's bucket is the first 32 bits of SHA-256 over ``salt:controller_id``. A stratum is a region and a hardware
profile. In strata above 1,000 devices the bucket alone decides (its error is below one percent and no sort is needed);
in smaller ones the rank by hash does, shifted by a hash of the stratum, so that over many small strata each wave gets
its share on average. With ``covers_strata`` the device with the lowest hash of every stratum is in the first wave: a
hardware profile with a single device (the only one with a real accelerator, say) is thus judged before the many.
The hold-out is taken from the other end: one device at least in each stratum of 10 or more, none in smaller ones.

``hot.py`` does the same in one SQL statement; a test compares the two device by device.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from rollouts.policy.strategies.shares import WaveShare

LARGE_STRATUM: Final = 1_000  # devices above which the bucket alone decides
HOLDOUT_MINIMUM: Final = 10  # devices below which a stratum gives none to the hold-out
_SCALE: Final = 2**32


def digest_of(salt: str, controller_id: str) -> bytes:
    """SHA-256 over ``salt:controller_id``; its first four bytes, big-endian, are the bucket."""
    return hashlib.sha256(f"{salt}:{controller_id}".encode()).digest()


def share_of(digest: bytes) -> float:
    """The bucket as a share, 0 (included) to 1 (excluded)."""
    return int.from_bytes(digest[:4], "big") / _SCALE


def assign(devices: Iterable[tuple[str, tuple[int, int]]], *, salt: str, waves: Sequence[WaveShare]) -> dict[str, int]:
    """The wave number (from 1) of each device.

    Args:
        devices: pairs of controller id and stratum ``(region id or 0, hardware profile id)``.
        salt: the rollout's.
        waves: as a strategy gives them.
    """
    strata: dict[tuple[int, int], list[tuple[bytes, str]]] = defaultdict(list)
    for controller_id, stratum in devices:
        strata[stratum].append((digest_of(salt, controller_id), controller_id))
    ordinary = [wave for wave in waves if not wave.is_holdout]
    thresholds = [wave.upto for wave in ordinary[:-1]]
    holdout = next((wave.upto for wave in waves if wave.is_holdout), 0.0)
    result: dict[str, int] = {}
    for stratum, members in strata.items():
        members.sort()
        size = len(members)
        held = max(1, round(size * holdout)) if holdout and size >= HOLDOUT_MINIMUM else 0
        offset = share_of(digest_of(salt, f"{stratum[0]}/{stratum[1]}"))
        for rank, (digest, controller_id) in enumerate(members):
            if size > LARGE_STRATUM:
                position = share_of(digest)
                is_first = position == share_of(members[0][0])
                is_held = position >= 1 - holdout
            else:
                position = (rank + offset) / size
                is_first = rank == 0
                is_held = rank >= size - held
            if is_held:
                result[controller_id] = len(waves)
            elif is_first and waves[0].covers_strata:
                result[controller_id] = 1
            else:
                result[controller_id] = 1 + sum(position >= threshold for threshold in thresholds)
    return result
