"""An API's wish for another sign-in, and answers in other forms, in a web application."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from tests.webapp.conftest import API, NAVIGATION, SHOP, Browser, Shop, make_shop

from mintmark.client import InsufficientScope, ResponseMode, StepUpRequired
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.authority import Fault
from mintmark.testing.fake_authorization import FakeAuthorization

GOLD = StepUpRequired(acr_values=("gold",), max_age=timedelta(minutes=5))
FOREIGN = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "origin": "https://id.example",
}


@pytest.fixture
def front(authority: FakeAuthority, clock: FrozenClock) -> FakeAuthorization:
    authority.clock = clock
    return FakeAuthorization(authority)


@pytest.fixture
def opened(
    tmp_path: Path,
    front: FakeAuthorization,
    authority: FakeAuthority,
    clock: FrozenClock,
    key: bytes,
) -> Iterator[Callable[..., Shop]]:
    """Shops with settings of their own."""
    with ExitStack() as stack:

        def opened(**settings: Any) -> Shop:
            shop = make_shop(tmp_path / "other.sqlite3", authority, clock, key, **settings)
            stack.callback(shop.sessions.close)
            stack.callback(shop.client.close)
            return shop

        yield opened


async def to_the_end(browser: Browser, front: FakeAuthorization, url: str) -> str:
    """Through the server and back; gives where the browser goes then."""
    answer = await browser.callback(front.authorize(url))
    return str(answer.headers.get("location", answer.status_code))


async def signed_in(browser: Browser, front: FakeAuthorization) -> None:
    url = (await browser.get("/login")).headers["location"]
    assert await to_the_end(browser, front, url) == "/"


class TestStepUp:
    """RFC 9470 §4: the person is asked for what the API wants, and comes back to the page."""

    async def test_a_page_leads_to_the_sign_in_and_back(
        self, shop: Shop, browser: Browser, front: FakeAuthorization
    ) -> None:
        await signed_in(browser, front)
        before = browser.session()
        shop.wanted.append(GOLD)
        answer = await browser.get("/pay?order=5")
        front.id_token_changes = {"acr": "gold"}

        assert answer.status_code == 303
        back = await to_the_end(browser, front, answer.headers["location"])
        assert back == "/pay?order=5"
        asked = front.requests[-1].values
        assert (asked["acr_values"], asked["max_age"]) == (("gold",), ("300",))
        assert shop.sessions.load(before) is None
        shop.wanted.clear()
        assert (await browser.get(back)).text == "paid"

    async def test_a_sign_in_that_does_not_bring_it_is_none(
        self, shop: Shop, browser: Browser, front: FakeAuthorization
    ) -> None:
        await signed_in(browser, front)
        shop.wanted.append(GOLD)
        before = browser.session()
        url = (await browser.get("/pay")).headers["location"]

        assert await to_the_end(browser, front, url) == "400"
        assert browser.session() == before
        assert await browser.who() == "alice"

    async def test_what_is_asked_for_stays_with_its_attempt(
        self, shop: Shop, browser: Browser, front: FakeAuthorization
    ) -> None:
        """Two tabs: the plain sign-in of one does not answer the other's wish."""
        await signed_in(browser, front)
        shop.wanted.append(GOLD)
        stronger = (await browser.get("/pay")).headers["location"]
        plain = (await browser.get("/login?return_to=/who")).headers["location"]

        assert await to_the_end(browser, front, plain) == "/who"
        assert await to_the_end(browser, front, stronger) == "400"

    async def test_asking_goes_round_in_no_circle(
        self, shop: Shop, browser: Browser, front: FakeAuthorization
    ) -> None:
        """The server did what it was asked for, and the API still wants it."""
        await signed_in(browser, front)
        shop.wanted.append(InsufficientScope(frozenset({"pay"})))
        url = (await browser.get("/pay")).headers["location"]
        assert await to_the_end(browser, front, url) == "/pay"
        answer = await browser.get("/pay")

        assert answer.status_code == 403
        assert "more than this sign-in" in answer.text
        # Whoever tries once more is asked once more.
        assert (await browser.get("/pay")).status_code == 303

    async def test_another_wish_is_no_circle(
        self, shop: Shop, browser: Browser, front: FakeAuthorization
    ) -> None:
        await signed_in(browser, front)
        shop.wanted.append(InsufficientScope(frozenset({"pay"})))
        url = (await browser.get("/pay")).headers["location"]
        assert await to_the_end(browser, front, url) == "/pay"
        shop.wanted[0] = InsufficientScope(frozenset({"pay", "refund"}))

        assert (await browser.get("/pay")).status_code == 303

    async def test_the_same_wish_a_minute_later_is_no_circle(
        self, shop: Shop, browser: Browser, front: FakeAuthorization
    ) -> None:
        await signed_in(browser, front)
        shop.wanted.append(InsufficientScope(frozenset({"pay"})))
        url = (await browser.get("/pay")).headers["location"]
        await to_the_end(browser, front, url)
        shop.clock.advance(timedelta(minutes=1))

        assert (await browser.get("/pay")).status_code == 303

    async def test_a_script_cannot_go_there_and_is_told(
        self, shop: Shop, browser: Browser, front: FakeAuthorization
    ) -> None:
        await signed_in(browser, front)
        shop.wanted.append(GOLD)
        answer = await browser.send("GET", "/pay", {"sec-fetch-mode": "cors"})

        assert (answer.status_code, answer.json()) == (403, {"error": "step_up_required"})

    async def test_a_server_that_is_down_is_said(
        self, shop: Shop, browser: Browser, front: FakeAuthorization
    ) -> None:
        await signed_in(browser, front)
        shop.wanted.append(GOLD)
        front.par_faults = [Fault(status=503), Fault(status=400)]
        for _ in range(2):
            assert (await browser.get("/pay")).status_code == 503
        assert await browser.who() == "alice"


class TestPosted:
    """The answer comes in a form that the token server's page posts here."""

    @pytest.fixture(params=["form_post", "form_post.jwt"])
    def shop(self, request: pytest.FixtureRequest, opened: Callable[..., Shop]) -> Shop:
        return opened(response_mode=ResponseMode(request.param))

    async def begin(self, browser: Browser, front: FakeAuthorization) -> dict[str, str]:
        answer = await browser.get("/login?return_to=/account")
        assert "SameSite=None" in answer.headers["set-cookie"]
        return dict(parse_qsl(front.authorize(answer.headers["location"])))

    async def post(self, browser: Browser, form: dict[str, str]) -> int:
        # The browser sends no cookie that is `Lax` along with another site's form.
        session = browser.cookies.pop("__Host-session", None)
        answer = await browser.send("POST", "/callback", FOREIGN, form)
        if session is not None:
            browser.cookies.setdefault("__Host-session", session)
        return answer.status_code

    async def test_it_signs_in_and_ends_the_session_before(
        self, shop: Shop, front: FakeAuthorization
    ) -> None:
        browser = shop.browser()
        assert await self.post(browser, await self.begin(browser, front)) == 303
        before = browser.session()
        assert await browser.who() == "alice"
        assert await self.post(browser, await self.begin(browser, front)) == 303

        assert browser.session() != before
        assert shop.sessions.load(before) is None
        await browser.http.aclose()

    async def test_s17_another_browsers_answer_and_an_old_one(
        self, shop: Shop, front: FakeAuthorization
    ) -> None:
        browser, attacker = shop.browser(), shop.browser()
        theirs = await self.begin(attacker, front)
        assert await self.post(browser, theirs) == 400
        await self.begin(browser, front)
        assert await self.post(browser, theirs) == 400
        own = await self.begin(browser, front)
        assert await self.post(browser, own) == 303
        browser.cookies.pop("__Host-session")
        assert await self.post(browser, own) == 400
        assert await browser.who() is None
        for one in (browser, attacker):
            await one.http.aclose()

    async def test_s17_in_the_address_it_is_none(
        self, shop: Shop, front: FakeAuthorization
    ) -> None:
        browser = shop.browser()
        form = await self.begin(browser, front)
        answer = await browser.http.get("/callback", params=form, headers=NAVIGATION)

        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        await browser.http.aclose()

    async def test_garbage_and_a_flood_sign_nobody_in(
        self, shop: Shop, front: FakeAuthorization
    ) -> None:
        browser = shop.browser()
        await self.begin(browser, front)
        for form in ({}, {"state": "x"}, {"response": "a.b.c"}, {"code": "é"}):
            assert await self.post(browser, form) == 400
        assert await self.post(browser, {"code": "x" * 30_000}) == 403
        await browser.http.aclose()

    async def test_every_other_form_of_another_site_is_refused_as_before(self, shop: Shop) -> None:
        browser = shop.browser()
        answer = await browser.send("POST", "/change", FOREIGN)

        assert (answer.status_code, answer.json()) == (403, {"error": "cross_site"})
        await browser.http.aclose()


class TestSettings:
    async def test_options_go_with_every_sign_in_and_the_request_is_pushed(
        self, opened: Callable[..., Shop], front: FakeAuthorization
    ) -> None:
        shop = opened(par=True, options={"ui_locales": "de", "extra": {"audience": API}})
        browser = shop.browser()
        url = (await browser.get("/login")).headers["location"]

        assert parse_qs(urlsplit(url).query).keys() == {"client_id", "request_uri"}
        assert await to_the_end(browser, front, url) == "/"
        asked = front.requests[-1].values
        assert (asked["ui_locales"], asked["audience"]) == (("de",), (API,))
        assert asked["redirect_uri"] == (f"{SHOP}/callback",)
        await browser.http.aclose()

    async def test_a_refused_request_begins_no_sign_in(
        self, opened: Callable[..., Shop], front: FakeAuthorization
    ) -> None:
        shop = opened()
        front.par_faults = [Fault(status=400, body=b'{"error":"invalid_scope"}')]
        browser = shop.browser()
        answer = await browser.get("/login")

        assert (answer.status_code, "Try again" in answer.text) == (503, True)
        assert "invalid_scope" not in answer.text
        assert "sign_in.failed" in shop.events.names()
        await browser.http.aclose()

    async def test_a_signed_answer_in_the_address(
        self, opened: Callable[..., Shop], front: FakeAuthorization
    ) -> None:
        shop = opened(response_mode=ResponseMode.QUERY_JWT)
        browser = shop.browser()
        await signed_in(browser, front)

        assert await browser.who() == "alice"
        assert (await browser.send("POST", "/callback", FOREIGN)).status_code == 403
        await browser.http.aclose()
