"""``make openapi``: write ``docs/api/openapi.yaml``; warnings are errors."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from config.embedded.state import ROOT

TARGET = ROOT / "docs" / "api" / "openapi.yaml"

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings_for_types"
    execute_from_command_line(["manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", str(TARGET)])
    sys.stderr.write(f"wrote {TARGET.relative_to(ROOT)}\n")
