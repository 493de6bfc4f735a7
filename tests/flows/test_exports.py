"""What the exports say, done by hand on a running server: whoever imports them can sign in."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from tests.browser.swagger_site import PASSWORD, PERSON, Site, site

from mintmark.api.exports import http_environment, http_file, postman_collection
from mintmark.protocol.pkce import challenge_of, make_verifier
from mintmark.testing import HeadlessBrowser

CLIENT = "orders-try"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # As in production: the exports need no documentation pages.
    with site(tmp_path_factory.mktemp("exported"), assets=None, docs=False) as made:
        yield made


def token_by(authorize: str, token: str, redirect_uri: str, client_id: str, scope: str) -> str:
    """An access token, by nothing but what was exported: code, PKCE and no secret."""
    verifier = make_verifier()
    asked = {
        "response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri, "scope": scope,
        "state": "of-this-test", "code_challenge": challenge_of(verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    browser = HeadlessBrowser()
    try:
        page = browser.open(f"{authorize}?{urlencode(asked)}")
        page = browser.submit(page, {"username": PERSON, "password": PASSWORD})
        if not page.url.startswith(redirect_uri):
            page = browser.submit(page, button="allow")
    finally:
        browser.close()
    assert page.url.startswith(f"{redirect_uri}?")
    came = parse_qs(urlsplit(page.url).query)
    form = {
        "grant_type": "authorization_code", "code": came["code"][0], "redirect_uri": redirect_uri,
        "client_id": client_id, "code_verifier": verifier.reveal(),
    }  # fmt: skip
    answer = httpx2.post(token, data=form, trust_env=False)
    assert answer.status_code == 200
    given = answer.json()
    assert given["scope"].split() == scope.split()
    access: str = given["access_token"]
    return access


def require_enough_for_one(site: Site, calls: dict[str, tuple[str, str]]) -> None:
    """Each operation takes the token that was made for it, and not the other's."""
    assert set(calls) == {"GET", "DELETE"}
    for method, (url, _) in calls.items():
        for made_for, (_, token) in calls.items():
            headers = {"authorization": f"Bearer {token}"}
            answer = httpx2.request(method, url, headers=headers, trust_env=False)
            assert answer.status_code == (200 if made_for == method else 403), (method, made_for)
    assert {url for url, _ in calls.values()} == {f"{site.api}/orders"}


def test_each_request_of_the_postman_collection_gets_its_own_token(running: Site) -> None:
    document = running.app.openapi()
    made: dict[str, Any] = postman_collection(
        document, base_url=running.api, client_id=CLIENT, redirect_uri=running.callback
    )
    values = {one["key"]: one["value"] for one in made["variable"]}

    def filled(text: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)

    calls = {}
    for item in made["item"]:
        request = item["request"]
        said = {one["key"]: filled(one["value"]) for one in request["auth"]["oauth2"]}
        assert said["grant_type"] == "authorization_code_with_pkce"
        token = token_by(
            said["authUrl"], said["accessTokenUrl"], said["redirect_uri"], said["clientId"],
            said["scope"],
        )  # fmt: skip
        calls[request["method"]] = (filled(request["url"]["raw"]), token)

    require_enough_for_one(running, calls)


def test_each_request_of_the_http_file_gets_its_own_token(running: Site) -> None:
    document = running.app.openapi()
    text = http_file(document, base_url=running.api)
    environment = http_environment(document, client_id=CLIENT, redirect_uri=running.callback)
    base = re.findall(r"^@base_url = (\S+)$", text, re.MULTILINE)[0]
    requests = re.findall(
        r'^(\w+) \{\{base_url\}\}(\S+)\nAuthorization: Bearer \{\{\$auth\.token\("([^"]+)"\)\}\}$',
        text, re.MULTILINE,
    )  # fmt: skip

    calls = {}
    for method, path, name in requests:
        said = environment["dev"]["Security"]["Auth"][name]
        assert (said["PKCE"], said["Client Credentials"]) == (True, "none")
        token = token_by(
            said["Auth URL"], said["Token URL"], said["Redirect URL"], said["Client ID"],
            said["Scope"],
        )  # fmt: skip
        calls[method] = (base + path, token)

    require_enough_for_one(running, calls)


def test_s48_even_a_good_token_opens_no_documentation_in_production(running: Site) -> None:
    environment = http_environment(
        running.app.openapi(), client_id=CLIENT, redirect_uri=running.callback
    )
    said = next(iter(environment["dev"]["Security"]["Auth"].values()))
    token = token_by(said["Auth URL"], said["Token URL"], running.callback, CLIENT, said["Scope"])
    headers = {"authorization": f"Bearer {token}"}

    for path in ("/docs", "/openapi.json", "/redoc", "/docs/oauth2-redirect"):
        assert httpx2.get(f"{running.api}{path}", trust_env=False).status_code == 401
        answer = httpx2.get(f"{running.api}{path}", headers=headers, trust_env=False)
        assert answer.status_code == 403
