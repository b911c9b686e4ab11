"""``.flotilla/bench.json``: ``{name: {value, unit, runs, against, busy_ratio}}``, merged figure by figure.

``busy_ratio`` is how busy the processors were with other work just before.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from config.embedded.state import DEFAULT_STATE, Lock, read_json, write_private

RESULTS = DEFAULT_STATE / "bench.json"


def entry_put(name: str, entry: dict[str, Any] | None, *, path: Path = RESULTS) -> None:
    """Replace one figure's entry; None removes it: an old value would pass for a new one."""
    lock = Lock(path.with_suffix(".lock"))
    lock.acquire(patience_s=30)
    try:
        entries = read_json(path)
        entries.pop(name, None)
        if entry is not None:
            entries[name] = entry
        write_private(path, json.dumps(dict(sorted(entries.items())), indent=1) + "\n")
    finally:
        lock.release()
