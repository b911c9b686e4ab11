"""``make bench``: measure the figures whose names start with ``ONLY``; the long ones only with ``FULL=1``."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import traceback

import psutil

import benchmarks
from benchmarks.harness import FIGURES, NotMeasurableError
from benchmarks.results import RESULTS, entry_put
from tests.debian import provide

INFRASTRUCTURE = {"__main__", "docs", "harness", "installation", "load", "results"}


def discover() -> None:
    """Import every subject, which registers its figures."""
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name not in INFRASTRUCTURE:
            importlib.import_module(f"benchmarks.{module.name}")


def main() -> int:
    """Measure; returns 1 when a chosen figure failed, or when none was chosen."""
    only, is_full = os.environ.get("ONLY", ""), os.environ.get("FULL") == "1"
    is_required = os.environ.get("REQUIRE_SERVICES") == "1"
    for package in provide("figures"):
        print(f"not here: {package.name}; figures that need it are left out", file=sys.stderr)
    discover()
    chosen = [figure for name, figure in sorted(FIGURES.items()) if name.startswith(only)]
    if not chosen:
        print(f"no figure's name starts with {only!r}; there are: {', '.join(sorted(FIGURES))}", file=sys.stderr)
        return 1
    status = 0
    for figure in chosen:
        if figure.is_long and not is_full:
            print(f"{figure.name}: left out, it takes long (FULL=1)", file=sys.stderr)
            continue
        # Whatever happens now, also an end in the middle: an old value must not pass for a new one.
        entry_put(figure.name, None)
        # What others do on the machine slows a chain of processes more than a single one.
        busy_ratio = psutil.cpu_percent(interval=1) / 100
        try:
            entry = {**figure.measure(), "unit": figure.unit, "against": figure.against, "busy_ratio": busy_ratio}
        except NotMeasurableError as error:
            print(f"{figure.name}: left out: {error}", file=sys.stderr)
            status = max(status, int(is_required))
        except Exception:  # noqa: BLE001 - one broken figure does not stop the others
            traceback.print_exc()
            print(f"{figure.name}: failed", file=sys.stderr)
            status = 1
        else:
            entry_put(figure.name, entry)
            print(f"{figure.name} {entry['value']:g} {figure.unit}", flush=True)
    print(f"results: {RESULTS}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
