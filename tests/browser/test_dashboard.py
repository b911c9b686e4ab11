"""The dashboard in a real Chromium: what a person sees while things happen, without a reload."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from config.embedded.state import ROOT
from demo.digits import main as write_digits
from tests.browser.conftest import TIMEOUT_MS, VIEWPORT
from tests.story import GROUP, Told

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group(GROUP), pytest.mark.timeout(900)]

ROLLOUT_MS = 240_000
_NEVER_RELOADED = "window.__never_reloaded"


def _mark(page: Page) -> None:
    """Leave a mark that a reload would wipe."""
    page.evaluate(f"{_NEVER_RELOADED} = true")


def _was_not_reloaded(page: Page) -> bool:
    return bool(page.evaluate(f"{_NEVER_RELOADED} === true"))


def test_a_wrong_password_is_refused_and_the_right_one_opens_the_overview(browser: Browser, story: Told) -> None:
    context = browser.new_context(base_url=story.login["url"], viewport=VIEWPORT)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto("/devices")
    page.get_by_label("User name").fill(story.login["username"])
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    page.get_by_label("Password", exact=True).fill(story.login["password"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Devices", level=1)).to_be_visible()
    context.close()


def test_the_tour_tells_the_story_and_links_to_what_happened(page: Page, story: Told) -> None:
    page.goto("/")
    tour = page.get_by_role("complementary", name="Tour")
    link = tour.get_by_role("link", name="1.2.0 is stopped in the canary and taken back")
    expect(link).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("digits")
    expect(page.get_by_text("Halted and rolled back")).to_be_visible()


def test_ones_own_model_is_published_approved_and_rolled_out_by_hand(page: Page, story: Told, tmp_path: Path) -> None:
    """The walk-through of the README, every step on screen; the rollout is watched until it is done."""
    assert write_digits(["1.3.0", str(tmp_path)]) == 0
    model = f"own-digits-{uuid.uuid4().hex[:8]}"  # a name of its own: nothing else rolls it out
    page.goto("/models")
    page.get_by_role("link", name="Publish version").first.click()
    page.get_by_role("combobox", name="Model").fill(model)
    page.get_by_role("textbox", name="Version").fill("1.3.0")
    files = page.locator("input[type=file]")
    files.nth(0).set_input_files(tmp_path / "digits-1.3.0.onnx")
    files.nth(1).set_input_files(tmp_path / "evaluation-1.3.0.npz")
    expect(page.get_by_text("digits-1.3.0.onnx")).to_be_visible()
    expect(page.get_by_text("evaluation-1.3.0.npz")).to_be_visible()
    expect(page.get_by_text(re.compile(r"B sent$"))).to_have_count(2)
    page.get_by_role("button", name="Publish version").click()

    # Validation runs in the background; the page follows by itself.
    ask = page.get_by_role("button", name="Request approval…")
    expect(ask).to_be_enabled(timeout=90_000)
    ask.click()
    page.get_by_role("dialog").get_by_role("button", name="Request approval").click()
    page.get_by_role("button", name="Approve…").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve version").click()
    page.get_by_role("link", name="Plan rollout").click()

    page.get_by_role("textbox", name="Soak").fill("3")
    page.get_by_role("combobox", name="Strategy").click()
    page.get_by_role("option", name="All at once").click()
    preview = page.get_by_role("complementary", name="Preview")
    expect(preview).to_contain_text("device")
    page.get_by_role("button", name="Start rollout").click()
    expect(page).to_have_url(re.compile(r"/rollouts/[0-9a-f-]{36}"))
    _mark(page)
    expect(page.get_by_text("Completed.")).to_be_visible(timeout=ROLLOUT_MS)
    assert _was_not_reloaded(page)
    rollout = story.get(f"rollouts/{page.url.rpartition('/')[2].partition('?')[0]}/")
    assert rollout["state"] == "completed"
    assert rollout["model"] == model


def test_a_bad_model_is_seen_being_stopped_and_taken_back(page: Page, story: Told) -> None:
    page.goto("/")
    tour = page.get_by_role("complementary", name="Tour")
    before = {rollout["id"] for rollout in story.get("rollouts/")["results"]}
    tour.get_by_role("button", name="Ship a bad model again").click()
    link = tour.get_by_role("link", name=re.compile(r"1\.2\.[1-9]\d* is stopped")).last
    expect(link).to_be_visible(timeout=60_000)
    link.click()
    expect(page).to_have_url(re.compile(r"/rollouts/[0-9a-f-]{36}"))
    _mark(page)
    expect(page.get_by_text(re.compile(r"^Halted")).first).to_be_visible(timeout=ROLLOUT_MS)
    expect(page.get_by_text("Halted and rolled back")).to_be_visible(timeout=ROLLOUT_MS)
    assert _was_not_reloaded(page)
    identity = page.url.rpartition("/")[2].partition("?")[0]
    assert identity not in before
    rollout = story.get(f"rollouts/{identity}/")
    assert rollout["state"] == "rolled_back"
    assert rollout["halt_reason"]["text"]
    expect(page.get_by_text(rollout["halt_reason"]["text"]).first).to_be_visible()


def _screens(story: Told) -> dict[str, str]:
    device = story.get("devices/", limit=1)["results"][0]["id"]
    bad = story.get("rollouts/", model="digits", state="rolled_back")["results"][0]
    return {
        "overview": "/",
        "devices": "/devices",
        "device": f"/devices/{device}",
        "models": "/models",
        "publish": "/models/publish",
        "version": f"/versions/{bad['version_id']}",
        "rollouts": "/rollouts",
        "planner": "/rollouts/new",
        "rollout": f"/rollouts/{bad['id']}",
        "drift": "/drift",
        "alerts": "/alerts",
        "jobs": "/jobs",
        "audit": "/audit",
        "settings": "/settings",
    }


def _settled(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("main [aria-busy=true]")).to_have_count(0)


def _violations(page: Page, name: str) -> list[str]:
    results = Axe().run(page)
    return [f"== {name}\n{results.generate_report()}"] if results.violations_count else []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_breaks_a_rule_of_accessibility(page: Page, story: Told, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    found: list[str] = []
    for name, path in _screens(story).items():
        _settled(page, path)
        found += _violations(page, name)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_that_opens_over_a_screen_breaks_a_rule_of_accessibility(page: Page, story: Told, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    done = story.get("rollouts/", model="digits", state="completed")["results"][0]
    screens = _screens(story) | {"rollout": f"/rollouts/{done['id']}"}  # one with something left to do
    found: list[str] = []
    for name in ("device", "version", "rollout"):
        _settled(page, screens[name])
        page.get_by_role("button", name="More actions").click()
        expect(page.get_by_role("menuitem").first).to_be_focused()
        found += _violations(page, f"{name}: menu")
        page.get_by_role("menuitem", disabled=False).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        found += _violations(page, f"{name}: dialog")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("button", name="More actions")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()
    found += _violations(page, "palette")
    assert not found, "\n".join(found)


def test_every_screen_fits_a_tablet(page: Page, story: Told) -> None:
    page.set_viewport_size({"width": 820, "height": 1180})
    for name, path in _screens(story).items():
        _settled(page, path)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{name} is {wider} pixels wider than the screen"


def test_a_screen_that_is_still_fetched_shows_its_heading(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    loading = page.get_by_role("main").get_by_role("status", name="Loading")
    page.route(re.compile(r"/publish-page-[^/]+\.js$"), hold)
    page.goto("/models/publish")
    expect(page.get_by_role("heading", name="Publish version", level=1)).to_be_visible()
    expect(loading).to_be_visible()
    assert held
    for route in held:
        route.continue_()
    expect(page.get_by_role("button", name="Publish version")).to_be_visible()
    expect(loading).to_have_count(0)


def test_an_unknown_address_says_so(page: Page) -> None:
    page.goto("/no/such/page")
    expect(page.get_by_text("There is nothing at this address.")).to_be_visible()


SHOTS = ("overview", "rollout", "drift", "device")


def test_the_readmes_screens_can_be_pictured(page: Page, story: Told, tmp_path: Path) -> None:
    """The README's pictures; ``SCREENSHOTS=1`` puts them where it shows them."""
    folder = ROOT / "docs" / "images" if os.environ.get("SCREENSHOTS") == "1" else tmp_path
    screens = _screens(story)
    for name in SHOTS:
        _settled(page, screens[name])
        path = folder / f"{name}.png"
        page.screenshot(path=path, animations="disabled")
        assert 20_000 < path.stat().st_size < 300_000, path


def test_the_readmes_pictures_exist() -> None:
    for name in re.findall(r"\((docs/images/[^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / name).stat().st_size < 300_000, name
