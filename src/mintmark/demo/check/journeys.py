"""What people do: sign in, look, sign out."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import httpx2

from mintmark.demo.check.step import StepFailed, Walk, query_of, require
from mintmark.testing import HeadlessBrowser
from mintmark.webapp import local_path

__all__ = ["STEPS"]

AT_ONCE = 200


def s01_a_person_signs_in_and_sees_the_photo(walk: Walk) -> None:
    """A person signs in by a request that was pushed, agrees, and sees the photo"""
    browser = walk.browser()
    page = browser.open(walk.url("web") + "/photo")
    request = query_of(page.url)
    require(page.url.startswith(walk.url("server") + "/authorize"), "not led to the server")
    # What is asked for, with S256, state and nonce, the server was told already: without them it
    # would have refused. Nobody on the way can read or change it.
    require(request.keys() == {"client_id", "request_uri"}, "the address says what was asked for")
    page = walk.sign_in(browser, page)
    require(page.url == walk.url("web") + "/photo", "not led back to the page")
    require("data:image/png;base64," in page.text, "the photo is missing")
    names = {name for (_, name) in browser.cookies}
    allowed = {
        "__Host-session",
        "__Host-sign-in",
        "__Host-mintmark-session",
        "__Host-mintmark-browser",
    }
    require(names <= allowed, "the browser holds another cookie")
    require(all(len(value) == 43 for value in browser.cookies.values()), "a cookie means something")


def s02_two_hundred_page_loads_one_token_request(walk: Walk) -> None:
    """200 page loads at once with an empty cache make exactly one token request"""
    person = walk.person()
    _forget_held(walk)
    before = walk.issued("web", "client_credentials")
    cookies = "; ".join(f"{name}={value}" for (_, name), value in person.cookies.items())
    url = walk.url("web") + "/photo"

    def load(_: int) -> int:
        return walk.http.get(url, headers={"cookie": cookies, "accept": "text/html"}).status_code

    with ThreadPoolExecutor(50) as pool:
        statuses = set(pool.map(load, range(AT_ONCE)))
    made = walk.issued("web", "client_credentials") - before
    require(statuses == {200}, f"a page answered {statuses}")
    require(made == 1, f"{made} token requests were made")


def _forget_held(walk: Walk) -> None:
    # An equal recipe shares its token with the page's own.
    photos = walk.running.clients["web"].app_token(scope="photos.read", resource=walk.url("api"))
    photos.forget(photos.token())


def s16_signing_out_ends_everything(walk: Walk) -> None:
    """Signing out revokes the tokens, ends the session, and cannot be done by a link"""
    browser = walk.fresh_person()
    web = walk.url("web")
    require(browser.open(web + "/logout").status == 405, "a link can sign people out")
    home = browser.open(web + "/")
    stolen = dict(browser.cookies)
    forged = browser.submit(home, {"cross_site": "x" * 43})
    require(forged.status == 403, "a form without the field signs people out")
    tokens = walk.running.stored_tokens(stolen["localhost", "__Host-session"])
    refresh_token = tokens.refresh_token if tokens else None
    if refresh_token is None:
        raise StepFailed("there is no refresh token to revoke")
    page = browser.submit(browser.open(web + "/"))
    require(page.url.startswith(web), "not led back")
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    answer = walk.token_request("web", "WEB_SECRET", form)
    require(answer.json().get("error") == "invalid_grant", "the refresh token lives on")
    browser.cookies.update(stolen)
    replayed = browser.open(web + "/profile")
    require(replayed.url.startswith(walk.url("server")), "the old cookie still opens the page")
    require('name="password"' in replayed.text, "the session at the server lives on")


def s17_a_wrong_callback_signs_nobody_in(walk: Walk) -> None:
    """A callback with another state, iss or code signs nobody in"""
    web = walk.url("web")
    for change in ("state", "iss", "code", "replay"):
        browser = walk.browser()
        page = browser.open(web + "/login")
        browser.cookies.update(
            {k: v for k, v in walk.person().cookies.items() if "mintmark" in k[1]}
        )
        callback = _callback_of(browser, page.url)
        require(callback.startswith(web + "/callback"), "no callback came")
        parameters = query_of(callback)
        if change == "replay":
            require(browser.open(callback).status == 200, "an honest callback was refused")
            browser.cookies.pop(("localhost", "__Host-session"), None)
        else:
            parameters[change] = parameters[change][:-4] + "AAAA"
        address = web + "/callback?" + "&".join(f"{k}={v}" for k, v in parameters.items())
        refused = browser.open(address)
        require(refused.status == 400, f"a wrong {change} was answered {refused.status}")
        require(browser.cookie("__Host-session") is None, f"a wrong {change} began a session")


def _callback_of(browser: HeadlessBrowser, authorize: str) -> str:
    """Where the server sends a browser that is signed in there, without going."""
    cookies = "; ".join(f"{n}={v}" for (h, n), v in browser.cookies.items() if h == "localhost")
    with httpx2.Client(trust_env=False) as http:
        return http.get(authorize, headers={"cookie": cookies}).headers.get("location", "")


EVIL = (
    "//evil.example",
    "https://evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "http:evil.example",
    "/%0d%0aset-cookie:x",
    " //evil.example",
    "javascript:alert(1)",
    "///evil.example",
    "/\n/evil.example",
    "http://localhost@evil.example",
)


def s18_nobody_is_sent_to_another_site(walk: Walk) -> None:
    """Whatever return_to says, people land on a page of the application"""
    web = walk.url("web")
    for evil in EVIL:
        require(local_path(evil).startswith("/"), f"{evil!r} is no path")
        browser = walk.browser()
        browser.cookies.update(
            {k: v for k, v in walk.person().cookies.items() if "mintmark" in k[1]}
        )
        page = browser.open(f"{web}/login?{urlencode({'return_to': evil})}")
        require(page.url.startswith(web + "/"), f"{evil!r} led to another site")


STEPS = (
    s01_a_person_signs_in_and_sees_the_photo,
    s02_two_hundred_page_loads_one_token_request,
    s16_signing_out_ends_everything,
    s17_a_wrong_callback_signs_nobody_in,
    s18_nobody_is_sent_to_another_site,
)
