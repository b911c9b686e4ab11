"""``python -m models_registry.sandbox <command> <JSON arguments>``: one run, answers on stdout.

Commands: ``version {model, evaluation_set}`` and ``evaluation-set {path}``, both with ``limits``. Every line of stdout
is one JSON object: any number of ``{progress: [ratio, text]}``, then ``{result}`` or ``{rejected: {code, text}}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models_registry.errors import ModelRejectedError
from models_registry.sandbox.confinement import Limits, confine

Progress = Callable[[float, str], None]


def main(command: str, text: str) -> int:
    """Confine this process, then look at the file."""
    # What libraries print goes to stderr: the answer channel is ours alone.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message, allow_nan=False) + "\n")
        channel.flush()

    arguments = json.loads(text)
    confined = confine(Limits(**arguments.pop("limits")))
    try:
        result = run(command, arguments, lambda ratio, what: say({"progress": [ratio, what]}))
    except ModelRejectedError as error:
        say({"rejected": {"code": error.error_code, "text": error.text}})
    except MemoryError:
        say({"rejected": {"code": "memory_limit", "text": "Looking at the file needs more memory than it may use."}})
    else:
        say({"result": {**result, "confined": confined}})
    return 0


def run(command: str, arguments: dict[str, str], progress: Progress) -> dict[str, Any]:
    """Do the work of one command.

    Raises:
        ModelRejectedError: the file breaks a rule.
    """
    # Imported only now, and only what is needed: these libraries come after the limits, and take a second to load.
    from models_registry.inspection.evaluation_set import evaluation_set_load  # noqa: PLC0415

    if command == "evaluation-set":
        loaded = evaluation_set_load(Path(arguments["path"]))
        return {"row_count": len(loaded.y), "row_shape": list(loaded.x.shape[1:]), "class_count": loaded.class_count}
    from models_registry.inspection.registry import inspector_for  # noqa: PLC0415

    model = Path(arguments["model"])
    inspector = inspector_for(model)
    progress(0.1, f"reading {inspector.format}")
    inspection = inspector.inspect(model)
    progress(0.3, "reading the evaluation set")
    evaluation_set = evaluation_set_load(Path(arguments["evaluation_set"]))
    progress(0.4, "running the model")
    measured = inspector.measure(model, inspection, evaluation_set, progress)
    return {"inspection": inspection.as_json(), **measured.as_json()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
