"""Signing in and out of a web application: S-16 to S-18, and what may not come of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.webapp.conftest import API, NAVIGATION, OWN, SHOP, Browser, Shop, make_shop

from mintmark.client.attachable import Attachable
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority
from mintmark.testing.authority import Fault
from mintmark.webapp import local_path


class TestSignIn:
    async def test_s01_a_sign_in_goes_out_with_pkce_state_and_nonce(self, browser: Browser) -> None:
        answer = await browser.get("/login")
        query = parse_qs(urlsplit(answer.headers["location"]).query)

        assert query["code_challenge_method"] == ["S256"]
        assert all(len(query[name][0]) == 43 for name in ("state", "nonce", "code_challenge"))
        assert query["redirect_uri"] == [f"{SHOP}/callback"]
        assert answer.headers["cache-control"] == "no-store"

    async def test_s01_the_browser_holds_opaque_cookies_and_nothing_else(
        self, browser: Browser
    ) -> None:
        answer = await browser.sign_in()

        assert await browser.who() == "alice"
        assert set(browser.cookies) == {"__Host-session", "__Host-sign-in"}
        assert all(len(value) == 43 for value in browser.cookies.values())
        set_cookie = answer.headers["set-cookie"]
        assert set_cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
        assert "ey" + "J" not in answer.text

    async def test_the_cookie_is_another_after_each_sign_in(self, browser: Browser) -> None:
        """A name of the session that somebody planted before is worth nothing afterwards."""
        planted = "a" * 43
        browser.cookies["__Host-session"] = planted
        await browser.sign_in()
        first = browser.cookies["__Host-session"]
        assert first != planted
        await browser.sign_in()

        assert browser.cookies["__Host-session"] != first
        browser.cookies["__Host-session"] = first
        assert await browser.who() is None

    async def test_two_tabs_sign_in_at_once(self, browser: Browser) -> None:
        one, other = await browser.begin("/account"), await browser.begin("/orders")

        assert (await browser.callback(other)).headers["location"] == "/orders"
        assert (await browser.callback(one)).headers["location"] == "/account"

    async def test_a_server_that_is_down_is_said_and_nothing_is_lost(
        self, browser: Browser, shop: Shop
    ) -> None:
        shop.authority.down = True
        answer = await browser.get("/login")
        assert (answer.status_code, "Try again" in answer.text) == (503, True)

        shop.authority.down = False
        shop.clock.advance(timedelta(minutes=2))
        assert (await browser.get("/login")).status_code == 303


class TestS17Callback:
    """RFC 9700 §4.7, RFC 9207 §2.4: whatever is wrong, nobody is signed in and nothing is kept."""

    async def refused(self, browser: Browser, query: str) -> None:
        answer = await browser.callback(query)
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("text/html")
        assert await browser.who() is None
        assert "__Host-session" not in browser.cookies

    @pytest.mark.parametrize(
        ("name", "value"),
        [("state", "x" * 43), ("state", ""), ("code", "y" * 43), ("code", ""),
         ("iss", "https://evil.example"), ("iss", "")],
    )  # fmt: skip
    async def test_s17_a_changed_answer(
        self, browser: Browser, shop: Shop, name: str, value: str
    ) -> None:
        query = httpx2.QueryParams(await browser.begin()).set(name, value)

        await self.refused(browser, str(query))
        assert "sign_in.failed" in shop.events.names()

    async def test_s17_no_parameters_at_all_and_garbage(self, browser: Browser) -> None:
        for query in ("", "state", "state=a&state=b", "%ff=%00", "code=" + "a" * 60_000):
            await self.refused(browser, query)

    async def test_s17_an_answer_works_once(self, browser: Browser) -> None:
        query = await browser.begin()
        await browser.callback(query)
        browser.cookies.pop("__Host-session")

        await self.refused(browser, query)

    async def test_s17_of_two_callbacks_at_once_one_signs_in(self, browser: Browser) -> None:
        query = await browser.begin()
        answers = await asyncio.gather(*(browser.callback(query) for _ in range(8)))

        assert sorted(answer.status_code for answer in answers) == [303, *[400] * 7]

    async def test_s17_another_browsers_answer(self, browser: Browser, shop: Shop) -> None:
        """Sign-in CSRF: the attacker's own answer, in the victim's browser."""
        attacker = shop.browser()
        query = await attacker.begin()
        await self.refused(browser, query)
        await browser.begin()
        await self.refused(browser, query)
        await attacker.http.aclose()

    async def test_s17_ten_minutes_are_enough(self, browser: Browser, shop: Shop) -> None:
        query = await browser.begin()
        shop.clock.advance(timedelta(minutes=10))

        await self.refused(browser, query)

    async def test_s17_a_wrong_nonce(self, browser: Browser, shop: Shop) -> None:
        one, other = await browser.begin(), await browser.begin()
        swapped = httpx2.QueryParams(one).set("code", httpx2.QueryParams(other)["code"])

        await self.refused(browser, str(swapped))

    async def test_s17_a_token_answer_without_an_id_token(
        self, browser: Browser, shop: Shop
    ) -> None:
        shop.authority.changes = {"id_token": None}

        await self.refused(browser, await browser.begin())

    async def test_somebody_who_says_no_is_told_so(self, browser: Browser) -> None:
        query = httpx2.QueryParams(await browser.begin()).remove("code")
        answer = await browser.callback(str(query.set("error", "access_denied")))

        assert answer.status_code == 403
        assert "did not allow" in answer.text

    async def test_what_the_server_says_never_reaches_the_page(self, browser: Browser) -> None:
        query = httpx2.QueryParams(await browser.begin()).remove("code")
        answer = await browser.callback(
            str(query.set("error", "<script>alert(1)</script>").set("error_description", "<b>x"))
        )

        assert "<script>" not in answer.text
        assert "<b>" not in answer.text


class TestS18ReturnTo:
    """W-16: a return address is a local path or `/`; nothing about it raises."""

    @pytest.mark.parametrize("path", ["/", "/orders", "/a/b?c=d&e=%2F", "/a#b", "/~x", "/:x"])
    def test_s18_a_local_path_is_kept(self, path: str) -> None:
        assert local_path(path) == path

    @pytest.mark.parametrize(
        "path",
        [None, "", "//evil.example", "///evil.example", "https://evil.example", "http:/evil",
         "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\t/evil.example",
         "\t//evil.example", "/\n/evil", "/a\r\nset-cookie: x", " /a", "javascript:alert(1)",
         "evil.example", "./a", "/a\\b", "/é", "/\x00", "/" + "a" * 2048, "https:evil", "/ a"],
    )  # fmt: skip
    def test_s18_w16_everything_else_leads_home(self, path: str | None) -> None:
        assert local_path(path) == "/"

    async def test_s18_where_the_browser_really_goes(self, browser: Browser) -> None:
        assert (await browser.sign_in("/orders?page=2")).headers["location"] == "/orders?page=2"
        for evil in ("//evil.example", "https://evil.example", "/\\evil.example", "/%09/evil"):
            location = (await browser.sign_in(evil)).headers["location"]
            assert location.startswith("/")
            assert not location.startswith(("//", "/\\"))


class TestS16SignOut:
    """W-15: signing out by GET, or by a form of another site, is refused; tokens are revoked."""

    async def field(self, browser: Browser) -> str:
        text = (await browser.get("/account")).text
        return text.split()[1]

    async def test_s16_w15_revoked_deleted_and_ended_at_the_server(
        self, browser: Browser, shop: Shop
    ) -> None:
        await browser.sign_in()
        session = browser.session()
        stored = shop.sessions.load(session)
        answer = await browser.send(
            "POST", "/logout", NAVIGATION | OWN, {"cross_site": await self.field(browser)}
        )

        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{shop.authority.issuer}/logout?")
        assert stored is not None
        assert stored.refresh_token is not None
        assert shop.authority.revoked == [stored.refresh_token.fingerprint()]
        assert shop.sessions.load(session) is None
        browser.cookies["__Host-session"] = session.reveal()
        assert await browser.who() is None

    async def test_s16_w15_by_get_or_without_the_field_nobody_is_signed_out(
        self, browser: Browser
    ) -> None:
        await browser.sign_in()
        by_get = await browser.get("/logout")
        assert (by_get.status_code, by_get.headers["allow"]) == (405, "POST")
        for form in ({}, {"cross_site": "x" * 43}, {"cross_site": ""}):
            answer = await browser.send("POST", "/logout", NAVIGATION | OWN, form)
            assert answer.status_code == 403
        assert await browser.who() == "alice"

    async def test_s16_anothers_field_is_no_field(self, browser: Browser, shop: Shop) -> None:
        await browser.sign_in()
        mallory = shop.browser()
        await mallory.sign_in()
        answer = await browser.send(
            "POST", "/logout", NAVIGATION | OWN, {"cross_site": await self.field(mallory)}
        )

        assert answer.status_code == 403
        await mallory.http.aclose()

    async def test_a_server_that_is_down_keeps_nobody_signed_in(
        self, browser: Browser, shop: Shop
    ) -> None:
        await browser.sign_in()
        field = await self.field(browser)
        shop.authority.down = True
        answer = await browser.send("POST", "/logout", NAVIGATION | OWN, {"cross_site": field})

        assert answer.status_code == 303
        assert await browser.who() is None
        assert shop.authority.revoked == []
        assert "sign_out.revocation_failed" in shop.events.names()


class TestCrossSite:
    """What another site's page causes changes nothing here."""

    @pytest.mark.parametrize(
        "headers",
        [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
         {"origin": "https://evil.example"}, {"origin": "null"},
         {"sec-fetch-site": "same-origin", "origin": "https://shop.example.evil.example"}],
    )  # fmt: skip
    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    async def test_an_unsafe_request_of_another_site_is_refused(
        self, browser: Browser, method: str, headers: dict[str, str]
    ) -> None:
        answer = await browser.send(method, "/change", headers)

        assert (answer.status_code, answer.json()) == (403, {"error": "cross_site"})

    @pytest.mark.parametrize("headers", [OWN, {"sec-fetch-site": "none"}, {}])
    async def test_ones_own_pages_and_programs_may(
        self, browser: Browser, headers: dict[str, str]
    ) -> None:
        assert (await browser.send("POST", "/change", headers)).text == "changed"

    async def test_reading_is_for_everybody(self, browser: Browser) -> None:
        answer = await browser.send("GET", "/change", {"sec-fetch-site": "cross-site"})

        assert answer.status_code == 200


class TestWhoMustSignIn:
    async def test_s45_a_page_leads_to_the_sign_in_and_a_script_gets_401(
        self, browser: Browser
    ) -> None:
        page = await browser.get("/account?tab=2")
        script = await browser.send("GET", "/account", {"sec-fetch-mode": "cors"})

        assert page.status_code == 303
        assert page.headers["location"] == "/login?return_to=%2Faccount%3Ftab%3D2"
        assert (script.status_code, script.json()) == (401, {"error": "login_required"})

    async def test_s14_w17_a_session_is_worth_no_more_than_its_tokens(
        self, browser: Browser, shop: Shop
    ) -> None:
        """W-17: the server renews the tokens no longer, so the cookie is over at that moment."""
        await browser.sign_in()
        assert (await browser.get("/orders")).status_code == 200
        shop.clock.advance(timedelta(minutes=11))
        shop.authority.faults = [Fault(status=400, body=b'{"error":"invalid_grant"}')]
        answer = await browser.get("/orders")

        assert answer.headers["location"].startswith("/login?")
        assert await browser.who() is None

    @pytest.mark.parametrize(("minutes", "alive"), [(59, True), (60, False)])
    async def test_an_idle_session_ends(
        self, browser: Browser, shop: Shop, minutes: int, alive: bool
    ) -> None:
        await browser.sign_in()
        shop.clock.advance(timedelta(minutes=minutes))

        assert (await browser.who() == "alice") is alive

    async def test_a_busy_session_ends_too(self, browser: Browser, shop: Shop) -> None:
        await browser.sign_in()
        for _ in range(12 * 2 - 1):
            shop.clock.advance(timedelta(minutes=30))
            assert await browser.who() == "alice"
        shop.clock.advance(timedelta(minutes=30))

        assert await browser.who() is None


class TestW05TwoInstances:
    """W-05: one application, two processes of it, one store."""

    async def test_w05_s12_nobody_is_signed_out_when_both_renew(
        self, shop: Shop, browser: Browser, authority: FakeAuthority, key: bytes
    ) -> None:
        await browser.sign_in()
        twin = make_shop(shop.path, authority, shop.clock, key)
        other = twin.browser()
        other.cookies = browser.cookies
        shop.clock.advance(timedelta(minutes=11))

        answers = [await browser.get("/orders"), await other.get("/orders")]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].text == answers[1].text
        assert authority.counts["refresh_token"] == 1
        await other.http.aclose()
        twin.sessions.close()
        twin.client.close()


class TestW22TokensInTheCookie:
    """W-22: what is in a cookie grows with it, and can be changed by an answer's headers alone."""

    async def test_w22_however_many_tokens_the_cookie_is_as_long_as_before(
        self, browser: Browser, shop: Shop
    ) -> None:
        async def further(request: Request) -> Response:
            for number in range(5):
                resource = f"https://api-{number}.example"
                await shop.login.token(request, resource=resource).atoken()
            return PlainTextResponse("done")

        shop.app.router.routes.append(Route("/further", further))
        await browser.sign_in()
        before = dict(browser.cookies)
        answer = await browser.get("/further")

        assert (answer.text, "set-cookie" in answer.headers) == ("done", False)
        assert browser.cookies == before
        assert shop.authority.counts["refresh_token"] == 5

    async def test_w22_a_renewal_after_the_answer_began_or_without_one_signs_nobody_out(
        self, browser: Browser, shop: Shop
    ) -> None:
        kept: list[Attachable] = []

        async def streamed(request: Request) -> Response:
            recipe = shop.login.token(request, resource=API, scope="orders.read")
            kept.append(recipe)

            async def pieces() -> AsyncIterator[str]:
                yield "begun "
                shop.clock.advance(timedelta(minutes=11))
                yield (await recipe.atoken()).fingerprint()

            return StreamingResponse(pieces())

        shop.app.router.routes.append(Route("/streamed", streamed))
        await browser.sign_in()
        answer = await browser.get("/streamed")
        during = answer.text.removeprefix("begun ")

        assert "set-cookie" not in answer.headers
        assert (await browser.get("/orders")).text == during
        assert shop.authority.counts["refresh_token"] == 1
        shop.clock.advance(timedelta(minutes=11))
        afterwards = (await kept[0].atoken()).fingerprint()
        assert afterwards != during
        assert (await browser.get("/orders")).text == afterwards
        assert shop.authority.counts["refresh_token"] == 2


class TestW69TokensInTheBrowser:
    """The browser holds the name of a session; tokens stay with the application."""

    async def test_w69_w65_no_cookie_page_or_header_has_a_token_or_its_claims(
        self, browser: Browser, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issued: list[str] = []
        access_token = shop.authority.access_token

        def remembering(**wanted: Any) -> Secret:
            token = access_token(**wanted)
            issued.append(token.reveal())
            return token

        monkeypatch.setattr(shop.authority, "access_token", remembering)
        answers = [await browser.sign_in()]
        answers += [await browser.get(path) for path in ("/who", "/account", "/orders")]
        seen = "".join(f"{one.text}{one.headers!r}" for one in answers) + repr(browser.cookies)

        assert await browser.who() == "alice"
        assert issued
        assert [piece for token in issued for piece in token.split(".") if piece in seen] == []
        assert "client_id" not in seen
