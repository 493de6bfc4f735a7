"""What tokens do: end, are renewed, are refused, are kept apart."""

from datetime import timedelta

import httpx2

from mintmark.client import (
    Authority,
    Client,
    InsufficientScope,
    TokenManager,
    TokenRejected,
)
from mintmark.demo.check.step import StepFailed, Walk, require
from mintmark.fetch import FetchPolicy
from mintmark.protocol.access_token import read_access_token
from mintmark.secret import Secret
from mintmark.testing import FrozenClock

__all__ = ["STEPS"]

LIFETIME = timedelta(minutes=10)  # of the demo's access tokens; their slack is a minute


def _client(walk: Walk, clock: FrozenClock) -> Client:
    policy = FetchPolicy(insecure_allow_http_on_loopback=True)
    return Client(
        Authority(walk.url("server"), policy=policy, clock=clock),
        client_id="other",
        client_secret=Secret(walk.demo.environment["OTHER_SECRET"]),
        tokens=TokenManager(clock=clock),
    )


def s04_a_token_is_replaced_before_it_ends(walk: Walk) -> None:
    """With 61 s left a token is still used, with 60 s left a new one is"""
    clock = FrozenClock()
    client = _client(walk, clock)
    photos = client.app_token(scope="photos.read", resource=walk.url("api"))
    first = photos.token()
    begin = clock.at
    clock.at = begin + LIFETIME - timedelta(seconds=61)
    require(photos.token() == first, "replaced too early")
    client.close()
    client = _client(walk, clock)
    clock.at = begin
    photos = client.app_token(scope="photos.read", resource=walk.url("api"))
    first = photos.token()
    clock.at = begin + LIFETIME - timedelta(seconds=60)
    require(photos.token() != first, "used too long")
    client.close()


def s05_two_scopes_two_tokens(walk: Walk) -> None:
    """One client with two scopes and two APIs holds two tokens, each for its own"""
    client = _client(walk, FrozenClock())
    for scope, part in (("photos.read", "api"), ("mottos.read", "downstream")):
        token = client.app_token(scope=scope, resource=walk.url(part)).token()
        claims = read_access_token(token.reveal()).claims
        require(claims["aud"] == walk.url(part), f"the token for {part} has another audience")
        require(claims["scope"] == scope, f"the token for {part} has another scope")
    client.close()


def s08_a_refused_token_is_renewed_once(walk: Walk) -> None:
    """A token that the API calls invalid is renewed once, and the call repeated once"""
    client = _client(walk, FrozenClock())
    photos = client.app_token(scope="photos.read", resource=walk.url("api"))
    photos.token()
    requests: list[str] = []

    def refuse_first(request: httpx2.Request) -> httpx2.Response:
        requests.append(request.headers["authorization"])
        if len(requests) == 1:
            return _invalid_token()
        return walk.http.get(str(request.url), headers=dict(request.headers))

    with httpx2.Client(transport=httpx2.MockTransport(refuse_first), auth=photos.auth()) as http:
        answer = http.get(walk.url("api") + "/photo")
    require(answer.status_code == 200, f"the call ended with {answer.status_code}")
    require(len(set(requests)) == 2, "the same token was sent twice")
    requests.clear()

    def refuse_always(request: httpx2.Request) -> httpx2.Response:
        requests.append(request.headers["authorization"])
        return _invalid_token()

    with httpx2.Client(transport=httpx2.MockTransport(refuse_always), auth=photos.auth()) as http:
        try:
            http.get(walk.url("api") + "/photo")
        except TokenRejected:
            require(len(requests) == 2, f"{len(requests)} requests were made")
        else:
            raise StepFailed("no error was raised")
    client.close()


def _invalid_token() -> httpx2.Response:
    return httpx2.Response(401, headers={"www-authenticate": 'Bearer error="invalid_token"'})


def s09_a_missing_scope_is_not_retried(walk: Walk) -> None:
    """A 403 is not retried, and the error names the scope"""
    client = _client(walk, FrozenClock())
    before = walk.issued("other", "client_credentials")
    list_only = client.app_token(scope="photos.list", resource=walk.url("api"))
    with httpx2.Client(trust_env=False, auth=list_only.auth()) as http:
        try:
            http.get(walk.url("api") + "/photo")
        except InsufficientScope as refusal:
            require(refusal.scope == {"photos.read"}, "another scope is named")
        else:
            raise StepFailed("no error was raised")
    made = walk.issued("other", "client_credentials") - before
    require(made == 1, f"{made} tokens were fetched")
    client.close()


def s13_a_refresh_token_works_once(walk: Walk) -> None:
    """A spent refresh token is refused, and its whole family with it"""
    browser = walk.fresh_person()
    stored = walk.running.stored_tokens(browser.cookies["localhost", "__Host-session"])
    first = stored.refresh_token if stored else None
    if first is None:
        raise StepFailed("there is no refresh token")
    second = _refresh(walk, first)
    third = _refresh(walk, second)
    # The successor of the first is in use, so this is no lost answer but a second holder.
    _require_dead(walk, first)
    _require_dead(walk, second)
    _require_dead(walk, third)


def _refresh(walk: Walk, token: Secret) -> Secret:
    form = {"grant_type": "refresh_token", "refresh_token": token.reveal()}
    answer = walk.token_request("web", "WEB_SECRET", form)
    require(answer.status_code == 200, f"an honest refresh was answered {answer.status_code}")
    return Secret(answer.json()["refresh_token"])


def _require_dead(walk: Walk, token: Secret) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": token.reveal()}
    answer = walk.token_request("web", "WEB_SECRET", form)
    require(answer.json().get("error") == "invalid_grant", "a dead refresh token works")


STEPS = (
    s04_a_token_is_replaced_before_it_ends,
    s05_two_scopes_two_tokens,
    s08_a_refused_token_is_renewed_once,
    s09_a_missing_scope_is_not_retried,
    s13_a_refresh_token_works_once,
)
