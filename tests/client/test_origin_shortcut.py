"""What an auth object remembers of addresses it has proved lets no other address through (W-19).

One client for everything, so that each address meets an object that has just sent its token.
"""

from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
from tests.client.conftest import API

from mintmark.client import ApplicationToken, Client, OriginNotAllowed

IDNA = "https://api.münchen.example"


class Recording(httpx2.BaseTransport):
    """Answers everything, and keeps where each request was sent and with what."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append((str(request.url), request.headers.get("authorization", "")))
        return httpx2.Response(200)


class RecordingHttpx(httpx.BaseTransport):
    """The same for httpx."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((str(request.url), request.headers.get("authorization", "")))
        return httpx.Response(200)


class With:
    """One client of one library."""

    def __init__(self, library: Any, transport: Any, auth: Any) -> None:
        self.library = library
        self.sent = transport.sent
        self.http = library.Client(transport=transport, auth=auth, trust_env=False)


MADE: dict[str, Callable[[ApplicationToken, list[str] | None], With]] = {
    "httpx2": lambda recipe, origins: With(httpx2, Recording(), recipe.auth(origins=origins)),
    "httpx": lambda recipe, origins: With(
        httpx, RecordingHttpx(), recipe.httpx_auth(origins=origins)
    ),
}


@pytest.fixture(params=MADE)
def made(request: pytest.FixtureRequest) -> Callable[[ApplicationToken, list[str] | None], With]:
    return MADE[request.param]


Make = Callable[[ApplicationToken, list[str] | None], With]


@pytest.fixture
def recipe(client: Client) -> ApplicationToken:
    return client.app_token(scope="orders.read", resource=API)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/", "https://api.example.evil.example/", "https://api.example:8443/",
        "http://api.example/", "http://api.example:443/", "https://api.example:80/",
        "https://somebody@api.example/", "https://somebody:secret@api.example/",
        "https://:secret@api.example/", "https://api.example./", "https://api.example@other.example/",
        "https://other.example/https://api.example/", "https://xn--bcher-kva.example/", "wss://api.example/",
    ],
)  # fmt: skip
def test_w19_another_address_is_refused_after_ones_own(
    recipe: ApplicationToken, made: Make, url: str
) -> None:
    one = made(recipe, None)
    assert API == "https://api.example"
    for _ in range(2):
        one.http.get(f"{API}/orders")
        with pytest.raises(OriginNotAllowed):
            one.http.get(url)

    assert one.sent == [(f"{API}/orders", f"Bearer {recipe.token().reveal()}")] * 2


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example/", "https://api.example:443/", "HTTPS://API.EXAMPLE/",
        "https://Api.Example:443/orders?to=https://other.example/", "https://api.example/a@b#c@d",
    ],
)  # fmt: skip
def test_every_spelling_of_ones_own_address_carries_the_token(
    recipe: ApplicationToken, made: Make, url: str
) -> None:
    one = made(recipe, None)
    for _ in range(2):
        one.http.get(url)

    assert [sent[1] for sent in one.sent] == [f"Bearer {recipe.token().reveal()}"] * 2


def test_a_host_in_other_letters_is_compared_as_it_is_sent(
    recipe: ApplicationToken, made: Make
) -> None:
    one = made(recipe, ["https://api.xn--mnchen-3ya.example"])
    for url in (IDNA, "https://API.MÜNCHEN.example/", "https://api.xn--mnchen-3ya.example:443/"):
        one.http.get(url)
    for url in ("https://api.munchen.example/", "https://api.xn--mnchen-4ya.example/"):
        with pytest.raises(OriginNotAllowed):
            one.http.get(url)

    assert len(one.sent) == 3


def test_w19_a_request_whose_address_was_changed_is_looked_at_as_it_is_sent(
    recipe: ApplicationToken, made: Make
) -> None:
    one = made(recipe, None)
    request = one.http.build_request("GET", f"{API}/orders")
    one.http.send(request)
    request.url = one.library.URL("https://other.example/orders")
    with pytest.raises(OriginNotAllowed):
        one.http.send(request)
    request.url = one.library.URL(f"{API}/orders").copy_with(port=8443)
    with pytest.raises(OriginNotAllowed):
        one.http.send(request)

    assert len(one.sent) == 1


def test_a_refused_address_is_refused_again(recipe: ApplicationToken, made: Make) -> None:
    one = made(recipe, None)
    for _ in range(3):
        with pytest.raises(OriginNotAllowed):
            one.http.get("https://other.example/")

    assert one.sent == []


def test_addresses_that_were_proved_do_not_pile_up(recipe: ApplicationToken) -> None:
    auth = recipe.auth()
    with httpx2.Client(transport=Recording(), auth=auth, trust_env=False) as http:
        for number in range(50):
            http.get(f"{API}:443/{number}?{number}#{number}")
            with pytest.raises(OriginNotAllowed):
                http.get(f"https://api-{number}.example/")

    assert len(auth._attachment._own_places) == 1
