"""``python -m flotilla_agent``: the same as the command ``flotilla-agent``."""

from flotilla_agent.cli import main

raise SystemExit(main())
