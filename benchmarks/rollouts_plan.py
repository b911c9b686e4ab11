"""Planning a rollout over a million devices: one ``INSERT .. SELECT`` against reading, deciding and ``bulk_create``.

Both sides commit deployments with the same constraints into the same table, by the same rules. The ORM plans 200,000 of
the devices, since its time per device does not depend on their number and a million would take a minute and more each
time; what is compared is devices per second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import Sides, Speed, ratio
from benchmarks.installation import Installation, installation

DEVICES = 1_000_000
ORM_DEVICES = 200_000
_MODULE = "benchmarks.comparators.rollout_planning"


class _Planning:
    def __init__(self, made: Installation) -> None:
        self._installation = made
        self._run("fleet", str(DEVICES))

    def _run(self, *arguments: str) -> Any:
        return json.loads(self._installation.run_python("-m", _MODULE, *arguments))

    def side(self, devices: int, *command: str) -> Callable[[], Speed]:
        """One side's run: devices planned per second."""

        def run() -> Speed:
            result = self._run(*command)
            if not result["deployments"] == sum(result["waves"]) == devices:
                raise RuntimeError(f"{command[0]} planned {result['deployments']} of {devices} devices")
            return Speed.of(devices, result["seconds"])

        return run


@ratio("rollouts.plan_1m_vs_orm", against="reading devices, deciding in Python, bulk_create of 5,000; 200k, per device")
@contextmanager
def plan_1m_vs_orm() -> Iterator[Sides]:
    """Devices planned per second, from start to commit."""
    with installation() as made:
        planning = _Planning(made)
        yield planning.side(DEVICES, "product"), planning.side(ORM_DEVICES, "orm", str(ORM_DEVICES))
