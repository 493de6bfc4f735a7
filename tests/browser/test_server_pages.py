"""The token server's further pages in Chromium: a device is let in, an answer is posted, details are read."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser
from tests.browser.conftest import Screen
from tests.pages.conftest import Pages

pytestmark = pytest.mark.xdist_group("chromium")

SIZES = [(1280, 800), (375, 667)]


@pytest.fixture(params=SIZES, ids=["desktop", "phone"])
def screen(request: pytest.FixtureRequest, window: Browser, pages: Pages) -> Screen:
    width, height = request.param
    return Screen(window, pages.issuer, width, height)


def look(screen: Screen, name: str, folder: Path) -> None:
    screen.require_well()
    screen.page.screenshot(path=str(folder / f"{name}-{screen.width}.png"), full_page=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go, for whoever wants to look."""
    return tmp_path


def sign_in(screen: Screen, folder: Path, name: str) -> None:
    page = screen.page
    page.wait_for_selector("#username")
    look(screen, name, folder)
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type("wonderland")
    page.keyboard.press("Enter")


def device_code(pages: Pages) -> str:
    answer = httpx2.post(
        f"{pages.issuer}/device_authorization",
        data={"client_id": "tv", "scope": "openid orders.read"},
        trust_env=False,
    )
    code: str = answer.json()["user_code"]
    return code


def test_a_device_is_let_in_by_keyboard_alone(screen: Screen, pages: Pages, folder: Path) -> None:
    page = screen.page
    page.goto(f"{pages.issuer}/device")
    sign_in(screen, folder, "device-login")
    page.wait_for_selector("#user_code")
    look(screen, "device-code", folder)
    page.keyboard.type("bbbb bbbb")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    look(screen, "device-wrong", folder)
    page.fill("#user_code", device_code(pages).lower())
    page.keyboard.press("Enter")
    page.wait_for_selector("button[value=allow]")
    look(screen, "device-confirm", folder)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Connected")
    look(screen, "device-done", folder)


@pytest.mark.parametrize("scripts", [True, False])
def test_an_answer_is_posted_with_and_without_scripts(
    window: Browser, pages: Pages, folder: Path, scripts: bool
) -> None:
    screen = Screen(window, pages.issuer, 375, 667, java_script_enabled=scripts)
    page = screen.page
    posted: list[str] = []
    page.on(
        "request",
        lambda one: posted.append(one.post_data or "") if one.url == pages.callback else None,
    )
    page.goto(
        pages.authorize_url(
            response_mode="form_post",
            authorization_details=json.dumps([{"type": "payment", "amount": "12.50 EUR"}]),
        )
    )
    sign_in(screen, folder, "login") if scripts else sign_in_blind(page)
    page.wait_for_selector("button[value=allow]")
    if scripts:
        look(screen, "consent-details", folder)
    assert "12.50 EUR" in page.content()
    page.click("button[value=allow]")
    if not scripts:
        page.wait_for_selector("#continue")
        page.screenshot(path=str(folder / "form-post-375.png"))
        page.click("#continue")
    page.wait_for_url(pages.callback)

    assert len(posted) == 1
    assert "code=" in posted[0]
    assert "guard" not in posted[0]


def sign_in_blind(page: Any) -> None:
    page.fill("#username", "alice")
    page.fill("#password", "wonderland")
    page.keyboard.press("Enter")
