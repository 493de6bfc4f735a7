"""Every page of the token server: what it says, what it refuses, and what a browser is told."""

from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from tests.pages.conftest import Pages

from mintmark.testing import HeadlessBrowser, Page

WORDS = {"username": "alice", "password": "wonderland"}


class Elements(HTMLParser):
    """The parts of a page that a screen reader lives on."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def every(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def require_page(page: Page, status: int = 200) -> Elements:
    """What holds for each page."""
    elements = Elements(page)
    assert page.status == status
    assert elements.every("html")[0]["lang"] == "en"
    assert len(elements.every("h1")) == 1
    assert len(elements.every("main")) == 1
    assert elements.every("title")
    assert elements.every("script") == []
    assert not [at for _, at in elements.elements if any(name.startswith("on") for name in at)]
    assert not [at for _, at in elements.elements if "style" in at]
    assert any(at.get("name") == "viewport" for at in elements.every("meta"))
    labelled = {at["for"] for at in elements.every("label")}
    for field in elements.every("input"):
        if field.get("type") != "hidden":
            assert field["id"] in labelled
    headers = page.headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    return elements


class TestLogin:
    def test_the_page_names_the_client_and_escapes_it(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        page = browser.open(pages.authorize_url())
        elements = require_page(page)

        assert "Shop &amp; &lt;b&gt;Sons" in page.text
        fields = {at.get("name"): at for at in elements.every("input")}
        assert fields["username"]["autocomplete"] == "username"
        assert fields["password"]["autocomplete"] == "current-password"
        assert fields["password"]["type"] == "password"

    def test_the_browser_may_go_where_this_very_request_asked_for(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        """RFC 8252 §7.3: browsers apply `form-action` to the redirect after the form, port and all."""
        callback = "http://127.0.0.1:49152/callback"
        page = browser.open(pages.authorize_url(client_id="phone", redirect_uri=callback))
        wrong = browser.submit(page, {"username": "alice", "password": "wrong"})

        for one in (page, wrong):
            assert (
                "form-action 'self' http://127.0.0.1:49152;"
                in one.headers["content-security-policy"]
            )

    def test_a_page_that_was_open_too_long_leaves_the_session_alone(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        pages.signed_in(browser)
        pages.clock.advance(timedelta(seconds=1))
        page = browser.open(pages.authorize_url(prompt="login"))
        pages.clock.advance(timedelta(minutes=11))
        assert browser.submit(page, WORDS).status == 400

        assert "code=" in browser.open(pages.authorize_url()).url

    def test_a_wrong_password_says_so_and_keeps_the_name(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        page = browser.open(pages.authorize_url())
        page = browser.submit(page, {"username": "alice", "password": "wrong"})
        elements = require_page(page)

        assert "do not go together" in page.text
        assert any(at.get("role") == "alert" for _, at in elements.elements)
        fields = {at.get("name"): at for at in elements.every("input")}
        assert fields["username"]["value"] == "alice"
        assert "wrong" not in str(fields["password"])
        assert browser.submit(page, WORDS).forms[0].buttons

    def test_a_name_nobody_has_gets_the_same_words(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        texts = []
        for name in ("alice", "nobody"):
            page = browser.open(pages.authorize_url())
            page = browser.submit(page, {"username": name, "password": "wrong"})
            texts.append(page.text.count("do not go together"))

        assert texts == [1, 1]

    def test_many_attempts_have_to_wait(self, pages: Pages, browser: HeadlessBrowser) -> None:
        """RFC 6749 §10.10: guessing takes for ever."""
        page = browser.open(pages.authorize_url())
        for _ in range(30):
            page = browser.submit(page, {"username": "alice", "password": "wrong"})
            if page.status != 200:
                break
        require_page(page, 429)
        assert "Too many" in page.text

        right = browser.submit(page, WORDS)
        assert right.status == 429
        pages.clock.advance(timedelta(minutes=9))
        page = browser.open(pages.authorize_url())
        pages.clock.advance(timedelta(minutes=9))
        assert "allow" in str(browser.submit(page, WORDS).forms[0].buttons)

    @pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "a" * 5_000])
    def test_what_somebody_typed_comes_back_as_text(
        self, pages: Pages, browser: HeadlessBrowser, name: str
    ) -> None:
        page = browser.open(pages.authorize_url())
        page = browser.submit(page, {"username": name, "password": "x"})

        elements = require_page(page)
        assert elements.every("img") == []

    def test_a_page_that_was_open_too_long(self, pages: Pages, browser: HeadlessBrowser) -> None:
        page = browser.open(pages.authorize_url())
        pages.clock.advance(timedelta(minutes=10))
        page = browser.submit(page, WORDS)

        require_page(page, 400)
        assert "open for too long" in page.text


class TestForeignForms:
    """A form is taken from the browser it was given to, and from our own page."""

    def test_without_the_field_or_with_anothers(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        other = HeadlessBrowser()
        theirs = other.open(pages.authorize_url()).forms[0].fields["guard"]
        page = browser.open(pages.authorize_url())
        for guard in ("", "x" * 43, theirs):
            refused = browser.submit(page, {**WORDS, "guard": guard})
            require_page(refused, 403)
        other.close()

    def test_without_the_cookie(self, pages: Pages, browser: HeadlessBrowser) -> None:
        page = browser.open(pages.authorize_url())
        browser.cookies.clear()

        require_page(browser.submit(page, WORDS), 403)

    @pytest.mark.parametrize(
        "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]
    )
    def test_when_the_browser_says_that_another_site_sent_it(
        self, pages: Pages, browser: HeadlessBrowser, headers: dict[str, str]
    ) -> None:
        page = browser.open(pages.authorize_url())
        cookies = "; ".join(f"{name}={value}" for (_, name), value in browser.cookies.items())
        answer = httpx2.post(
            f"{pages.issuer}/login",
            data={**page.forms[0].fields, **WORDS},
            headers={"cookie": cookies, **headers},
            trust_env=False,
        )

        assert answer.status_code == 403

    @pytest.mark.parametrize("path", ["/login", "/consent", "/logout/confirmed"])
    def test_nothing_at_all(self, pages: Pages, path: str) -> None:
        for content in (b"", b"%ff%fe", b"a=b&a=b", b"guard=" + b"x" * 100):
            answer = httpx2.post(f"{pages.issuer}{path}", content=content, trust_env=False)
            assert answer.status_code in {400, 403}
        too_much = httpx2.post(f"{pages.issuer}{path}", content=b"a" * 300_000, trust_env=False)
        assert too_much.status_code == 413
        assert httpx2.get(f"{pages.issuer}{path}", trust_env=False).status_code == 404


class TestConsent:
    def test_it_says_who_wants_what(self, pages: Pages, browser: HeadlessBrowser) -> None:
        page = browser.open(pages.authorize_url("openid profile orders.read"))
        page = browser.submit(page, WORDS)
        require_page(page)

        assert "See your orders" in page.text
        assert "See your name and picture" in page.text
        assert "Change your orders" not in page.text
        assert page.forms[0].buttons

    def test_a_yes_is_remembered_and_more_is_asked_for_again(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        assert pages.signed_in(browser).url.startswith(pages.callback)
        again = browser.open(pages.authorize_url("openid orders.read"))
        assert again.url.startswith(pages.callback)
        more = browser.open(pages.authorize_url("openid orders.read orders.write"))

        assert "Change your orders" in more.text
        assert "code" not in parse_qs(urlsplit(more.url).query)

    def test_a_no_is_told_to_the_client_and_not_remembered(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        page = browser.open(pages.authorize_url())
        page = browser.submit(page, WORDS)
        refused = browser.submit(page, button="deny")
        answer = parse_qs(urlsplit(refused.url).query)

        assert refused.url.startswith(pages.callback)
        assert answer["error"] == ["access_denied"]
        assert answer["iss"] == [pages.issuer]
        assert answer["state"] == ["state-of-this-test"]
        assert browser.open(pages.authorize_url()).forms[0].buttons

    def test_the_session_cookie_is_opaque_and_new_at_each_sign_in(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        browser.cookies[("127.0.0.1", "__Host-mintmark")] = "p" * 43
        pages.signed_in(browser)
        held = {name: value for (_, name), value in browser.cookies.items()}

        assert all(name.startswith("__Host-") for name in held)
        assert all(len(value) == 43 for value in held.values())
        assert "p" * 43 not in [value for name, value in held.items() if "session" in name]


class TestLogout:
    """OIDC RP-Initiated Logout §2: a client may ask, and the person decides."""

    def test_s16_without_a_hint_somebody_is_asked_first(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        pages.signed_in(browser)
        page = browser.open(f"{pages.issuer}/logout")
        require_page(page)
        stayed = browser.submit(page, button="stay")
        assert "Nothing was changed" in stayed.text
        assert browser.open(pages.authorize_url()).url.startswith(pages.callback)
        gone = browser.submit(browser.open(f"{pages.issuer}/logout"), button="sign-out")

        assert "signed out" in gone.text
        require_page(gone)
        assert "Password" in browser.open(pages.authorize_url()).text

    def test_an_address_that_the_client_did_not_register_is_no_way_out(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        pages.signed_in(browser)
        url = f"{pages.issuer}/logout?client_id=shop&post_logout_redirect_uri=https://evil.example"
        page = browser.open(url)

        require_page(page, 400)
        assert "evil.example" not in page.text


class TestErrors:
    @pytest.mark.parametrize("path", ["/nowhere", "/static/other.css", "/static/..%2f..%2fetc"])
    def test_what_is_not_there(self, pages: Pages, browser: HeadlessBrowser, path: str) -> None:
        require_page(browser.open(pages.issuer + path), 404)

    @pytest.mark.parametrize(
        "changes",
        [{"client_id": "nobody"}, {"client_id": ""}, {"redirect_uri": "https://evil.example"},
         {"redirect_uri": ""}, {"client_id": "<script>alert(1)</script>"}],
        ids=str,
    )  # fmt: skip
    def test_a_request_that_cannot_be_answered_at_the_client_is_shown(
        self, pages: Pages, browser: HeadlessBrowser, changes: dict[str, str]
    ) -> None:
        page = browser.open(pages.authorize_url(**changes))
        elements = require_page(page, 400)

        assert page.redirects == ()
        assert "evil.example" not in page.text
        assert elements.every("script") == []

    def test_the_front_page_and_the_style(self, pages: Pages, browser: HeadlessBrowser) -> None:
        elements = require_page(browser.open(pages.issuer + "/"))
        (style,) = [at["href"] for at in elements.every("link") if at.get("rel") == "stylesheet"]
        answer = httpx2.get(style, trust_env=False)

        assert answer.headers["content-type"].startswith("text/css")
        assert "immutable" in answer.headers["cache-control"]

    def test_a_database_that_fails_is_said_and_nothing_is_lost(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        page = browser.open(pages.authorize_url())
        assert pages.server is not None
        close = getattr(pages.server.stores, "close", None)
        assert close is not None
        close()
        failed = browser.submit(page, WORDS)

        require_page(failed, 503)
        assert "nothing was lost" in failed.text


class TestDevice:
    """RFC 8628 §3.3, RFC 8628 §5.4: nobody lets a device in without looking."""

    def code(self, pages: Pages) -> str:
        answer = httpx2.post(
            f"{pages.issuer}/device_authorization",
            data={"client_id": "tv", "scope": "openid"},
            trust_env=False,
        )
        code: str = answer.json()["user_code"]
        return code

    def test_every_page_of_it_is_well_made(self, pages: Pages, browser: HeadlessBrowser) -> None:
        code = self.code(pages)
        login = browser.open(f"{pages.issuer}/device?user_code={code}")
        require_page(login)
        wrong = browser.submit(login, {**WORDS, "password": "wrong"})
        require_page(wrong)
        typed = browser.submit(wrong, WORDS)
        require_page(typed)
        # An address that somebody was sent fills the field in, and decides nothing.
        assert typed.forms[0].fields["user_code"] == code
        unknown = browser.submit(typed, {"user_code": "<script>"})
        require_page(unknown)
        assert "&lt;script&gt;" in unknown.text
        confirm = browser.submit(unknown, {"user_code": code})
        require_page(confirm)
        assert "Living room television" in confirm.text
        require_page(browser.submit(confirm, button="deny"))
        # Decided is decided.
        require_page(browser.submit(confirm, button="allow"), 400)

    def test_a_form_of_another_site_decides_nothing(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        page = browser.submit(browser.open(f"{pages.issuer}/device"), WORDS)
        confirm = browser.submit(page, {"user_code": self.code(pages)})

        for one in (page, confirm):
            forged = browser.submit(one, {"guard": "x"})
            require_page(forged, 403)
        assert "Connected" in browser.submit(confirm, button="allow").text

    def test_who_signed_out_meanwhile_is_asked_to_sign_in(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        page = browser.submit(browser.open(f"{pages.issuer}/device"), WORDS)
        confirm = browser.submit(page, {"user_code": self.code(pages)})
        logout = browser.open(f"{pages.issuer}/logout")
        browser.submit(logout, button="sign-out")

        after = browser.submit(confirm, button="allow")

        assert "Sign in" in after.text
        assert "Connected" not in after.text


class TestPostedAnswers:
    """OAuth 2.0 Form Post Response Mode §2: one script may run, and none needs to."""

    def test_the_form_says_what_it_sends_and_where(
        self, pages: Pages, browser: HeadlessBrowser
    ) -> None:
        page = browser.open(pages.authorize_url(response_mode="form_post", prompt="none"))

        policy = page.headers["content-security-policy"]
        assert "script-src 'sha256-" in policy
        assert "unsafe" not in policy
        assert f"form-action 'self' {pages.issuer}" in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.forms[0].action == pages.callback
        assert page.forms[0].fields["error"] == "login_required"
        assert page.forms[0].fields.keys() == {"error", "error_description", "state", "iss"}

    def test_a_state_is_text_and_nothing_else(self, pages: Pages, browser: HeadlessBrowser) -> None:
        state = '"><script>alert(1)</script>'
        page = browser.open(
            pages.authorize_url(response_mode="form_post", prompt="none", state=state)
        )

        assert page.text.count("<script>") == 1
        assert page.forms[0].fields["state"] == state
