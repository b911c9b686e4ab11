"""The real product under the real supervisor: what ``make demo`` runs, without its story."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import psutil
import pytest

from tests.embedded.installation import RealInstallation, eventually, is_ready

pytestmark = [pytest.mark.timeout(300)]


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

            for name in ("postgres", "worker-main", "worker-artifacts", "beat", "web"):
                os.kill(installation.pid(name), signal.SIGKILL)
            for name in ("postgres", "worker-main", "worker-artifacts", "beat", "web"):
                eventually(lambda name=name: installation.report()["processes"][name]["restarts"] >= 1)
            eventually(lambda: is_ready(client))

            installation.press_ctrl_c()
            status, output = installation.wait()
            assert status == 0, output
            assert installation.processes() == []

            installation.start()
            assert installation.wait_until_ready() == login
            assert client.get("/api/v1/devices/").is_success
    finally:
        installation.end()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]
