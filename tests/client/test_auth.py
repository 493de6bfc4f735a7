"""A token on a request: to its own API, renewed once, never lost to a redirect."""

import asyncio
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest
from tests.client.conftest import API

from mintmark.client import (
    Client,
    InsufficientScope,
    OriginNotAllowed,
    TokenAuth,
    TokenRejected,
    TokenUnavailable,
)
from mintmark.clock import monotonic
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority

Answer = Callable[[httpx2.Request], httpx2.Response]
INVALID = {"www-authenticate": 'Bearer realm="a", error="invalid_token"'}


class Api:
    """An API that answers as it is told, and keeps what came."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.answers: list[httpx2.Response] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self.answers.pop(0) if self.answers else httpx2.Response(200)

    def tokens(self) -> list[str]:
        return [request.headers.get("authorization", "") for request in self.requests]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def http(api: Api, client: Client) -> Iterator[httpx2.Client]:
    auth = client.app_token(scope="orders.read", resource=API).auth()
    with httpx2.Client(
        transport=httpx2.MockTransport(api), auth=auth, follow_redirects=True
    ) as made:
        yield made


class TestAttachment:
    """RFC 6750 §2.1; the request's origin must be the token's."""

    def test_a_request_to_the_api_carries_the_token(self, http: httpx2.Client, api: Api) -> None:
        http.get(API + "/orders?page=2")
        http.post(API + ":443/orders", json={})

        assert len(set(api.tokens())) == 1
        assert api.tokens()[0].startswith("Bearer ey")

    async def test_an_async_client_takes_the_same_object(self, client: Client, api: Api) -> None:
        auth = client.app_token(scope="orders.read", resource=API).auth()
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(api), auth=auth) as http:
            await http.get(API)

        assert api.tokens() == [
            f"Bearer {client.app_token(scope='orders.read', resource=API).token().reveal()}"
        ]

    @pytest.mark.parametrize(
        "url",
        ["https://evil.example/", "http://api.example/", "https://api.example:444/", "https://api.example.evil.example/",
         "https://sub.api.example/"],
    )  # fmt: skip
    def test_a_request_elsewhere_is_not_sent(self, http: httpx2.Client, api: Api, url: str) -> None:
        with pytest.raises(OriginNotAllowed):
            http.get(url)
        assert api.requests == []

    def test_a_redirect_elsewhere_carries_nothing(self, http: httpx2.Client, api: Api) -> None:
        api.answers = [httpx2.Response(307, headers={"location": "https://evil.example/"})]
        http.get(API)

        assert api.tokens()[1] == ""

    def test_without_a_token_nothing_is_sent(
        self, http: httpx2.Client, api: Api, authority: FakeAuthority
    ) -> None:
        authority.down = True

        with pytest.raises(TokenUnavailable):
            http.get(API)
        assert api.requests == []

    def test_a_token_for_nowhere_is_refused_as_it_is_made(self, client: Client) -> None:
        with pytest.raises(ValueError, match="resource or origins"):
            client.app_token().auth()


class TestS08Renewal:
    """After `invalid_token` exactly that token is renewed, once, and the call repeated, once."""

    def test_s08_w07_one_renewal_and_one_retry(
        self, http: httpx2.Client, api: Api, authority: FakeAuthority
    ) -> None:
        """W-07: a revoked token is not sent until it would have ended."""
        http.get(API)
        api.answers = [httpx2.Response(401, headers=INVALID)]

        assert http.post(API, json={"a": 1}).status_code == 200

        assert len(set(api.tokens())) == 2
        assert [request.content for request in api.requests[1:]] == [b'{"a":1}', b'{"a":1}']
        assert authority.counts["client_credentials"] == 2

    def test_s08_a_second_refusal_is_an_error(
        self, http: httpx2.Client, api: Api, authority: FakeAuthority
    ) -> None:
        api.answers = [httpx2.Response(401, headers=INVALID) for _ in range(3)]

        with pytest.raises(TokenRejected):
            http.get(API)
        assert len(api.requests) == 2
        assert authority.counts["client_credentials"] == 2

    @pytest.mark.parametrize(
        "headers",
        [{}, {"www-authenticate": "Bearer"}, {"www-authenticate": 'Basic error="invalid_token"'}],
    )
    def test_another_401_is_the_callers(
        self, http: httpx2.Client, api: Api, headers: dict[str, str]
    ) -> None:
        api.answers = [httpx2.Response(401, headers=headers)]

        assert http.get(API).status_code == 401
        assert len(api.requests) == 1

    def test_a_streamed_body_is_not_sent_again(self, http: httpx2.Client, api: Api) -> None:
        api.answers = [httpx2.Response(401, headers=INVALID)]

        def body() -> Iterator[bytes]:
            yield b"half"

        assert http.post(API, content=body()).status_code == 401
        assert len(api.requests) == 1

    def test_a_newer_token_is_not_forgotten(self, client: Client, authority: FakeAuthority) -> None:
        orders = client.app_token(resource=API)
        old = orders.token()
        orders.forget(old)
        new = orders.token()
        orders.forget(old)

        assert orders.token() == new
        assert authority.counts["client_credentials"] == 2


class TestS09Scope:
    """A 403 is never repeated with the same token."""

    def test_s09_the_needed_scope_is_named(
        self, http: httpx2.Client, api: Api, authority: FakeAuthority
    ) -> None:
        challenge = 'Bearer error="insufficient_scope", scope="orders.write"'
        api.answers = [httpx2.Response(403, headers={"www-authenticate": challenge})]

        with pytest.raises(InsufficientScope) as refusal:
            http.get(API)
        assert refusal.value.scope == {"orders.write"}
        assert (len(api.requests), authority.counts["client_credentials"]) == (1, 1)

    def test_another_403_is_the_callers(self, http: httpx2.Client, api: Api) -> None:
        api.answers = [httpx2.Response(403)]

        assert http.get(API).status_code == 403
        assert len(api.requests) == 1


async def test_forgetting_a_token_stops_nobody_else(api: Api, client: Client) -> None:
    """A person's tokens lie in a store, which may wait for a disk or for another process."""
    token = client.app_token(scope="orders.read", resource=API)
    recipe = Waiting(token.token())
    auth = TokenAuth(recipe, [API], client.authority.fetcher.policy)
    api.answers = [httpx2.Response(401, headers=INVALID)]
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(api), auth=auth) as http:
        asking = asyncio.create_task(http.get(API))
        longest = 0.0
        while not asking.done():
            began = monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, monotonic() - began)

    assert asking.result().status_code == 200
    assert recipe.forgot == 1
    assert longest < 0.3


class Waiting:
    """A recipe whose store waits."""

    def __init__(self, token: Secret) -> None:
        self._token = token
        self.forgot = 0

    def token(self) -> Secret:
        return self._token

    async def atoken(self) -> Secret:
        return self._token

    def forget(self, token: Secret) -> None:
        assert token == self._token
        time.sleep(0.5)
        self.forgot += 1
