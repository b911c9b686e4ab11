"""``make bench-docs``: ``docs/benchmarks.md`` with a plot, from what was measured on this machine."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import matplotlib as mpl
import psutil

mpl.use("Agg")

import matplotlib.pyplot as plt

from benchmarks.results import RESULTS
from config.embedded.state import ROOT, read_json

PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "images" / "benchmarks.svg"

EXPLANATION = (
    "Each ratio compares two things measured in turn in one go: the median of at least five interleaved pairs. More "
    "than 1 means the product is faster. `at least` marks figures where the load generator, not the product, may have "
    "been the limit. `busy` is how much of the processors other work took just before: on a busy machine "
    "ratios came out up to twice as high or as low. Run them yourself with `make bench ONLY=<prefix>`."
)


def _plot(ratios: dict[str, dict[str, Any]]) -> None:
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "flotilla"  # the same figures give the same file
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(ratios) + 1.2), layout="constrained")
    names = list(reversed(ratios))
    for row, name in enumerate(names):
        axes.barh(row, ratios[name]["value"], color="#3b6ea8", height=0.6)
        samples = ratios[name].get("samples", [])
        axes.plot(samples, [row] * len(samples), "|", color="black", markersize=8)
    axes.axvline(1, color="grey", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("times the comparator (bar: median, ticks: single pairs)")
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


def _row(name: str, entry: dict[str, Any]) -> str:
    sign = "at least " if entry.get("generator_bound") else ""
    value = f"{sign}{entry['value']:g} {entry['unit']}"
    busy = f"{entry['busy_ratio']:.0%}" if "busy_ratio" in entry else "-"
    return f"| `{name}` | {value} | {entry['against'] or '-'} | {entry['runs']} | {busy} |"


def main() -> int:
    """Write page and plot; returns 1 when nothing was measured yet."""
    entries = read_json(RESULTS)
    if not entries:
        sys.stderr.write("nothing was measured yet; run `make bench`\n")
        return 1
    ratios = {name: entry for name, entry in entries.items() if entry["unit"] == "x"}
    memory_gib = round(psutil.virtual_memory().total / 2**30)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} logical cores, {memory_gib} GiB of memory"
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench-docs` on {machine}, Python {platform.python_version()}.",
        "",
        EXPLANATION,
        "",
        "| figure | value | against | runs | busy |",
        "|---|---|---|---|---|",
        *(_row(name, entry) for name, entry in sorted(entries.items())),
        "",
    ]
    if ratios:
        _plot(ratios)
        lines += ["![Ratios](images/benchmarks.svg)", ""]
    PAGE.write_text("\n".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
