"""A real Chromium on the story's installation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from config.embedded.state import ROOT
from tests import services
from tests.debian import find
from tests.story import Told

ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"),
    *("--no-first-run", "--disable-component-update", "--disable-sync"),
)
TIMEOUT_MS = 30_000
VIEWPORT = {"width": 1440, "height": 900}

# One deadline for whatever is waited for: Playwright's own 5 s are over too soon on a machine that also runs a fleet.
expect.set_options(timeout=TIMEOUT_MS)


def _chromium() -> str | None:
    """Chromium on the path; None for Playwright's own."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = find(name)
        if found is not None:
            return str(found)
    return None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its module: until then Playwright's event loop runs in this thread, where other tests want one."""
    path = _chromium()
    if path is None and "PLAYWRIGHT_BROWSERS_PATH" not in os.environ:
        text = "Chromium is not on this machine (Debian: apt-get install chromium)"
        if services.is_required():
            pytest.fail(text)
        pytest.skip(text)
    if not (ROOT / "frontend" / "dist" / "index.html").exists():
        pytest.fail("the dashboard is not built; make test builds it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, story: Told, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The browser's storage after signing in through the screen."""
    context = browser.new_context(base_url=story.login["url"], viewport=VIEWPORT)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto("/")
    page.get_by_label("User name").fill(story.login["username"])
    page.get_by_label("Password", exact=True).fill(story.login["password"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Overview").wait_for()
    path = tmp_path_factory.mktemp("browser") / "storage.json"
    context.storage_state(path=path)
    context.close()
    return path


@pytest.fixture
def context(browser: Browser, story: Told, signed_in: Path) -> Iterator[BrowserContext]:
    made = browser.new_context(
        base_url=story.login["url"],
        viewport=VIEWPORT,  # type: ignore[arg-type]
        storage_state=signed_in,
        reduced_motion="reduce",
    )
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose console stays free of errors."""
    made = context.new_page()
    made.set_default_timeout(TIMEOUT_MS)
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield made
    assert problems == []
