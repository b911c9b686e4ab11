"""The real product under the real supervisor: what ``make demo`` runs, without its story."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from config.embedded.state import ROOT
from tests.embedded.installation import RealInstallation, eventually, is_ready

pytestmark = [pytest.mark.timeout(300)]


def manage(installation: RealInstallation, *command: str) -> subprocess.CompletedProcess[str]:
    """``manage.py`` as the operators' pages say it."""
    return subprocess.run(
        [sys.executable, "-m", "config.embedded.manage", "--state", str(installation.state.root), *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_product_runs_heals_resumes_and_ends(folder: Path) -> None:
    installation = RealInstallation(folder / "state")
    try:
        installation.start()
        login = installation.wait_until_ready(deadline_s=120)
        client = httpx.Client(
            base_url=login["url"],
            headers={"Authorization": f"Bearer {login['api_token']}"},
            timeout=10,
            trust_env=False,
        )
        with client:
            eventually(lambda: is_ready(client))
            assert client.get("/api/v1/devices/").json()["results"] == []
            assert (
                manage(installation, "flotilla_init", "--organization", "demo", "--username", "admin").returncode == 0
            )

            for name in ("postgres", "worker-main", "worker-artifacts", "beat", "web"):
                os.kill(installation.pid(name), signal.SIGKILL)
            for name in ("postgres", "worker-main", "worker-artifacts", "beat", "web"):
                eventually(lambda name=name: installation.report()["processes"][name]["restarts"] >= 1)
            eventually(lambda: is_ready(client))

            installation.press_ctrl_c()
            status, output = installation.wait()
            assert status == 0, output
            assert installation.processes() == []
            refused = manage(installation, "check")
            assert (refused.returncode, "start it first" in refused.stderr) == (1, True)

            installation.start()
            assert installation.wait_until_ready() == login
            assert client.get("/api/v1/devices/").is_success
    finally:
        installation.end()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]
