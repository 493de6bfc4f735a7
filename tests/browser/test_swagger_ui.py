"""S-48, S-50: the documentation pages of an API, in Chromium, on a token server that is our own.

RFC 7636 and RFC 8707 §2 as a browser does them: code, verifier, and the API it is for.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page
from tests.browser.conftest import Screen
from tests.browser.swagger_site import OTHER, PASSWORD, PERSON, Site, site

pytestmark = pytest.mark.xdist_group("chromium")

RETURN = "/docs/oauth2-redirect"
FETCHED = """async (url) => {
    try { return String((await fetch(url)).status); } catch (failure) { return failure.name; }
}"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("documented"), assets=assets) as made:
        yield made


@pytest.fixture
def screen(window: Browser, running: Site) -> Iterator[Screen]:
    made = Screen(window, running.api, 1280, 900)
    made.page.goto(f"{running.api}/docs")
    made.page.wait_for_selector(".opblock")
    yield made
    made.page.context.close()


def ask_to_sign_in(screen: Screen) -> Page:
    """Presses "Authorize" for the code flow; gives the window that opens."""
    screen.page.click(".auth-wrapper > button.authorize")
    way = screen.page.locator(".auth-container", has=screen.page.locator("h4", has_text="oauth2 ("))
    with screen.page.context.expect_page() as opened:
        way.locator("button.authorize").click()
    screen.watch(opened.value)
    return opened.value


def sign_in(window: Page, person: str = PERSON, decision: str = "allow") -> None:
    window.fill("input[name=username]", person)
    window.fill("input[name=password]", PASSWORD)
    window.keyboard.press("Enter")
    window.wait_for_selector(f"button[value={decision}]")
    window.click(f"button[value={decision}]")


def tried(page: Page, method: str) -> Locator:
    """Sends the operation's request; gives what came of it."""
    block = page.locator(f".opblock-{method}")
    block.locator(".opblock-summary-control").click()
    block.locator("button.try-out__btn").click()
    block.locator("button.execute").click()
    return block.locator(".live-responses-table tr.response")


def test_s48_s50_the_page_signs_in_and_calls_the_api(screen: Screen, running: Site) -> None:
    page = screen.page
    assert screen.complaints == []
    window = ask_to_sign_in(screen)
    asked = {name: value[0] for name, value in parse_qs(urlsplit(window.url).query).items()}
    with page.expect_response(f"{running.issuer}/token") as answered:
        sign_in(window)
    token = answered.value.json()["access_token"]
    page.get_by_text("Authorized", exact=True).wait_for()
    assert window.is_closed()
    page.click("button.close-modal")
    assert screen.complaints == []
    seen = tried(page, "get")
    assert seen.locator(".response-col_status").inner_text().strip() == "200"
    assert "1-alice" in seen.inner_text()
    assert screen.complaints == []

    refused = tried(page, "delete")
    assert refused.locator(".response-col_status").inner_text().strip() == "403"
    assert 'error="insufficient_scope"' in refused.inner_text()
    assert 'scope="orders.write"' in refused.inner_text()
    # The browser's own word for a 403, and nothing else in all this time.
    assert [one for one in screen.complaints if "403" not in one] == []

    assert (asked["client_id"], asked["code_challenge_method"]) == ("orders-docs", "S256")
    assert asked["resource"] == running.api
    assert len(asked["state"]) == 32
    assert not any(token in address for address in screen.addresses)
    # The code was in one address, which the window left at once.
    assert screen.addresses.count(f"{running.api}{RETURN}") == 1
    assert page.url.startswith(f"{running.api}/docs#")


def test_a_person_who_refuses_is_told_so_on_the_page(screen: Screen) -> None:
    window = ask_to_sign_in(screen)
    # Who has agreed before is not asked again, so it is somebody else.
    sign_in(window, OTHER, "refuse")

    way = screen.page.locator(".auth-container", has_text="oauth2 (")
    way.get_by_text("access_denied").wait_for()


def test_an_answer_that_nobody_asked_for_is_not_taken(screen: Screen, running: Site) -> None:
    ask_to_sign_in(screen)
    other = screen.page.context.new_page()
    other.goto(f"{running.api}{RETURN}?code=somebodys&state=made-up")
    other.wait_for_timeout(300)

    assert "Go back" in other.inner_text("body")
    assert other.url == f"{running.api}{RETURN}"
    assert not any(address.endswith("/token") for address in screen.addresses)
    assert screen.page.evaluate("Boolean(window.swaggerUIRedirectOauth2)") is True


def test_the_page_may_ask_whom_it_must_ask_and_nobody_else(screen: Screen, running: Site) -> None:
    page = screen.page
    metadata = f"{running.issuer}/.well-known/openid-configuration"

    assert page.evaluate(FETCHED, metadata) == "200"
    assert page.evaluate(FETCHED, f"{running.api}/openapi.json") == "200"
    assert screen.complaints == []
    # The keys may be read from every origin; it is this page's policy that says no.
    assert page.evaluate(FETCHED, f"{running.issuer}/jwks") == "TypeError"
    assert any("Content Security Policy" in one for one in screen.complaints)


def test_a_script_that_was_slipped_into_the_page_does_not_run(screen: Screen) -> None:
    screen.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.slipped = true;";
        document.body.append(script);
    }""")

    assert screen.page.evaluate("window.slipped") is None


def test_s48_in_production_there_are_no_pages(
    tmp_path: Path, window: Browser, assets: Path
) -> None:
    with site(tmp_path, assets=assets, docs=False) as made:
        screen = Screen(window, made.api, 1280, 900)
        answer = screen.page.goto(f"{made.api}/docs")
        assert answer is not None
        assert answer.status == 401
        assert screen.page.locator("#swagger-ui").count() == 0
        for path in ("/openapi.json", RETURN, "/docs/swagger-ui-bundle.js"):
            assert httpx2.get(f"{made.api}{path}", trust_env=False).status_code == 401
        screen.page.context.close()
