"""A running demo and a real browser in front of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser.swagger_site import swagger_ui
from tests.pages.conftest import pages

from mintmark.demo.parts import PASSWORD, PERSON, Demo
from mintmark.demo.running import free_addresses, in_background

__all__ = ["pages"]  # a fixture of these tests too

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


class Screen:
    """One window of one width, and every complaint of the browser about what it shows."""

    def __init__(self, browser: Browser, web: str, width: int, height: int, **more: Any) -> None:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        self.page: Page = context.new_page()
        self.web = web
        self.width = width
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        self.watch(self.page)

    def watch(self, page: Page) -> None:
        """Hears what the browser says of a page, and every address that it shows or asks for."""
        page.on("console", lambda message: self._console(message))
        page.on("pageerror", lambda failure: self.complaints.append(str(failure)))
        page.on("requestfailed", lambda request: self.complaints.append(request.url))
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("framenavigated", lambda frame: self.addresses.append(frame.url))

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def sign_in(self) -> None:
        self.page.goto(f"{self.web}/login")
        self.page.fill("input[name=username]", PERSON)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("button[value=allow]")
        self.page.click("button[value=allow]")
        self.page.wait_for_url(f"{self.web}/")

    def follow(self, link: str) -> None:
        """Through the navigation to another page. A click returns before that page is there."""
        self.page.click(f"nav >> text={link}")
        self.page.wait_for_url(f"{self.web}/{link.lower()}")

    def require_well(self) -> None:
        """No complaint, nothing to scroll sideways, nothing too pale to read."""
        assert self.complaints == []
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= self.width
        assert self.page.evaluate(CONTRAST) == []


@pytest.fixture(scope="module")
def window(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def assets() -> Path:
    return swagger_ui()


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    made = Demo(addresses=free_addresses(), folder=folder)
    with in_background(made):
        yield made.addresses.url("web")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    with demo(tmp_path) as url:
        yield url
