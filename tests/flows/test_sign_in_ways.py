"""Our client and our server over loopback: pushed and signed requests, posted and signed answers, devices."""

import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.serving import Folder

from mintmark.client import Authority, Client, LoginFailed, RequestSigning
from mintmark.fetch import FetchPolicy
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.authorization import ResponseMode
from mintmark.secret import Secret
from mintmark.testing import HeadlessBrowser

KEY = SigningKey.generate(Algorithm.ES256)
TOML = """
issuer = "{issuer}"
insecure_allow_http_on_loopback = true
master_key = {{ env = "MASTER_KEY" }}
require_pushed_authorization_requests = true
[scopes]
"orders.read" = "See your orders"
[[resources]]
identifier = "https://orders.example"
scopes = ["orders.read"]
authorization_details = {{ payment = "Make a payment" }}
[[clients]]
client_id = "shop"
name = "Shop"
secrets = [{{ env = "SHOP" }}]
jwks = {{ file = "shop.jwks.json" }}
grant_types = ["authorization_code", "refresh_token"]
scopes = ["openid", "orders.read"]
redirect_uris = ["{issuer}/not-there"]
authorization_details_types = ["payment"]
require_signed_request_object = true
[[clients]]
client_id = "tv"
name = "Television"
secrets = [{{ env = "TV" }}]
grant_types = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scopes = ["openid", "offline_access", "orders.read"]
[[users]]
subject = "1-alice"
username = "alice"
password = {{ insecure_literal = "wonderland" }}
name = "Alice Liddell"
"""
WORDS = {"username": "alice", "password": "wonderland"}


@dataclass(frozen=True)
class Place:
    issuer: str
    environment: dict[str, str] = field(repr=False)
    opened: list[Authority] = field(default_factory=list, repr=False)

    def client(self, client_id: str) -> Client:
        policy = FetchPolicy(insecure_allow_http_on_loopback=True)
        authority = Authority(self.issuer, policy=policy)
        self.opened.append(authority)
        return Client(
            authority,
            client_id=client_id,
            client_secret=Secret(self.environment[client_id.upper()]),
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path = tmp_path_factory.mktemp("ways")
    environment = {name: secrets.token_urlsafe(32) for name in ("MASTER_KEY", "SHOP", "TV")}
    folder = Folder(path, {**environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")})
    (path / "shop.jwks.json").write_bytes(KeySet.of(KEY.public).to_json())
    folder.config.write_text(TOML.format(issuer=folder.issuer))
    with folder.running():
        made = Place(folder.issuer, environment)
        yield made
        for authority in made.opened:
            authority.close()


def answer_of(page: Any, browser: HeadlessBrowser) -> str:
    """What the browser brings to the client, in its address or in the form it would post."""
    if page.forms and page.forms[0].action.endswith("/not-there"):
        from urllib.parse import urlencode

        assert "guard" not in page.forms[0].fields
        status = browser.submit(page).status
        assert status == 405  # the page that would take it is the client's, and not there
        return urlencode(page.forms[0].fields)
    return str(page.url.partition("?")[2])


@pytest.mark.parametrize("mode", [None, *ResponseMode])
def test_s42_every_way_to_ask_and_to_answer(place: Place, mode: ResponseMode | None) -> None:
    flow = place.client("shop").login(
        redirect_uri=f"{place.issuer}/not-there", scope="openid orders.read", par=True,
        request_signing=RequestSigning(key=KEY), response_mode=mode,
    )  # fmt: skip
    details = [{"type": "payment", "amount": "7"}]
    attempt = flow.begin(authorization_details=details)
    assert attempt.url.startswith(f"{place.issuer}/authorize?client_id=shop&request_uri=urn")
    browser = HeadlessBrowser()

    page = browser.submit(browser.open(attempt.url), WORDS)
    assert "Make a payment" in page.text
    answer = answer_of(browser.submit(page, button="allow"), browser)
    signed_in = flow.finish(answer, attempt)

    assert signed_in.id_token.sub == "1-alice"
    assert list(signed_in.authorization_details) == details
    # The address is spent: no second code comes of it.
    assert "begin again at the application" in browser.open(attempt.url).text
    browser.close()


def test_s42_what_is_not_signed_is_not_taken(place: Place) -> None:
    flow = place.client("shop").login(redirect_uri=f"{place.issuer}/not-there", scope="openid")

    with pytest.raises(LoginFailed):
        flow.begin()


@pytest.mark.parametrize("complete", [False, True])
def test_a_device_is_let_in(place: Place, complete: bool) -> None:
    flow = place.client("tv").device(scope="openid offline_access orders.read")
    code = flow.begin()
    browser = HeadlessBrowser()
    box: list[Any] = []
    waiting = threading.Thread(target=lambda: box.append(flow.wait(code)))
    waiting.start()

    address = code.verification_uri_complete if complete else code.verification_uri
    assert address is not None
    page = browser.submit(browser.open(address), WORDS)
    assert page.forms[0].fields["user_code"] == (code.user_code if complete else "")
    page = browser.submit(page, {"user_code": code.user_code})
    assert "Television" in page.text
    assert code.user_code in page.text
    page = browser.submit(page, button="allow")
    waiting.join(30)
    browser.close()

    assert "Connected" in page.text
    assert len(box) == 1
    assert box[0].id_token.sub == "1-alice"
    assert box[0].tokens.refresh_token is not None


def test_a_device_is_refused(place: Place) -> None:
    flow = place.client("tv").device(scope="openid")
    code, browser = flow.begin(), HeadlessBrowser()

    page = browser.submit(browser.open(code.verification_uri), WORDS)
    wrong = browser.submit(page, {"user_code": "BBBB-BBBB"})
    page = browser.submit(browser.submit(wrong, {"user_code": code.user_code}), button="deny")

    assert "No device waits" in wrong.text
    assert "Refused" in page.text
    with pytest.raises(LoginFailed):
        flow.wait(code)
    browser.close()
