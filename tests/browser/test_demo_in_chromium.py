"""The demo as a stranger meets it: in Chromium, wide and narrow, light and dark, by keyboard."""

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.conftest import Screen

from mintmark.demo.parts import PASSWORD, PERSON

pytestmark = pytest.mark.xdist_group("chromium")

SIZES = [(1280, 800), (375, 667)]


@pytest.fixture(params=SIZES, ids=["desktop", "phone"])
def screen(request: pytest.FixtureRequest, window: Browser, web: str) -> Screen:
    width, height = request.param
    return Screen(window, web, width, height)


def test_s01_signing_in_and_every_page(screen: Screen) -> None:
    """S-01, at both widths and without a complaint of the browser."""
    page = screen.page
    page.goto(screen.web)
    screen.require_well()
    page.click("text=Sign in")
    page.wait_for_selector("input[name=username]")
    screen.require_well()
    page.fill("input[name=username]", PERSON)
    page.fill("input[name=password]", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    screen.require_well()
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("button[value=allow]")
    screen.require_well()
    page.click("button[value=allow]")
    page.wait_for_url(f"{screen.web}/")
    screen.require_well()

    screen.follow("Photo")
    assert page.evaluate("document.querySelector('.photo img').naturalWidth") > 0
    screen.require_well()
    screen.follow("Profile")
    assert page.inner_text("dl").count("3f6d2b9a-alice") == 1
    screen.require_well()
    screen.follow("Tokens")
    assert page.locator("article.token").count() == 3
    assert "eyJ" not in page.content()
    screen.require_well()


def test_the_picture_moves_by_itself(screen: Screen) -> None:
    screen.sign_in()
    page = screen.page
    page.goto(f"{screen.web}/tokens")
    before = int(page.text_content("[data-call=web-api]") or "")
    other = page.context.new_page()
    other.goto(f"{screen.web}/photo")
    for _ in range(100):
        if int(page.text_content("[data-call=web-api]") or "") > before:
            break
        page.wait_for_timeout(100)
    assert int(page.text_content("[data-call=web-api]") or "") > before
    page.wait_for_selector("article.token.application")

    screen.require_well()


def test_s16_signing_out_asks_nobody_twice(screen: Screen) -> None:
    screen.sign_in()
    page = screen.page
    page.click("text=Sign out")
    page.wait_for_selector("text=Sign in")

    assert page.url == f"{screen.web}/"
    screen.require_well()


@pytest.mark.parametrize("path", ["/nowhere", "/logout", "/"])
def test_the_servers_other_pages(screen: Screen, path: str) -> None:
    page = screen.page
    page.goto(screen.web)
    server = page.get_attribute("footer a", "href")
    answer = page.goto(f"{server}{path}")
    assert answer is not None
    screen.complaints = [one for one in screen.complaints if "404" not in one]

    screen.require_well()
    assert page.locator("h1").count() == 1


def focused(page: Page, attribute: str) -> str:
    found: str = page.evaluate(f"document.activeElement.{attribute} || ''")
    return found


def tab_to(page: Page, attribute: str, value: str) -> None:
    for _ in range(8):
        if focused(page, attribute) == value:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{value} is not reached in eight steps")


def test_by_keyboard_alone(window: Browser, web: str) -> None:
    screen = Screen(window, web, 1280, 800)
    page = screen.page
    page.goto(f"{web}/login")
    tab_to(page, "name", "username")
    page.keyboard.type(PERSON)
    page.keyboard.press("Tab")
    assert focused(page, "name") == "password"
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("button[value=allow]")
    tab_to(page, "value", "allow")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    page.wait_for_url(f"{web}/")

    screen.require_well()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_in_the_dark(window: Browser, web: str, width: int, height: int) -> None:
    screen = Screen(window, web, width, height, color_scheme="dark")
    screen.page.goto(f"{web}/login")
    screen.require_well()
    screen.sign_in()
    for path in ("/", "/photo", "/profile", "/tokens"):
        screen.page.goto(web + path)
        screen.require_well()


def test_without_javascript_everything_works(window: Browser, web: str) -> None:
    screen = Screen(window, web, 375, 667, java_script_enabled=False)
    screen.sign_in()
    page = screen.page
    for path, expected in (("/photo", "figure.photo"), ("/profile", "dl"), ("/tokens", "article")):
        page.goto(web + path)
        assert page.locator(expected).count() > 0
    page.click("text=Sign out")
    page.wait_for_selector("text=Sign in")
    assert page.url == f"{web}/"

    assert screen.complaints == []


def test_text_too_pale_to_read_is_found(window: Browser, web: str) -> None:
    """The check itself: it has to see what it looks for."""
    screen = Screen(window, web, 1280, 800)
    screen.page.goto(web)
    screen.page.evaluate("document.querySelector('h1').style.color = '#eee'")

    with pytest.raises(AssertionError, match="Welcome"):
        screen.require_well()
