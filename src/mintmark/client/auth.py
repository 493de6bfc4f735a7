"""A token on a request: the right one, to its own API alone."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from typing import TYPE_CHECKING, final

import httpx2

from mintmark.client.errors import InsufficientScope, OriginNotAllowed, TokenRejected
from mintmark.fetch import FetchPolicy, FetchRefused, require_safe_url
from mintmark.protocol.challenge import parse_challenges
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.scope import Scope, parse_scope
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.client.recipes import Recipe

__all__ = ["TokenAuth", "origin_of"]

PORTS = {"https": 443, "http": 80}


@final
class TokenAuth(httpx2.Auth):
    """Puts a recipe's token on every request of an httpx2 client, sync or async.

    The request's origin must be one the token is for, or nothing is sent. After a 401 that says
    `invalid_token` exactly that token is forgotten, another fetched, and the request repeated
    once if its body can be; a second such answer raises `TokenRejected`. A 403 that asks for more
    scope raises `InsufficientScope`: the same token would be refused again. Any other answer is
    the caller's.
    """

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        self._recipe = recipe
        self._origins = frozenset(origin_of(origin, policy) for origin in origins)
        self._policy = policy
        if not self._origins:
            raise ValueError("a token needs a resource or origins: it must not go just anywhere")

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        self._require_own(request)
        replayable = _is_replayable(request)
        token = self._recipe.token()
        response = yield _carrying(request, token)
        _require_enough(response)
        if replayable and _says_invalid_token(response):
            self._recipe.forget(token)
            again = self._recipe.token()
            response = yield _carrying(request, again)
            _require_accepted(response)

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        self._require_own(request)
        replayable = _is_replayable(request)
        token = await self._recipe.atoken()
        response = yield _carrying(request, token)
        _require_enough(response)
        if replayable and _says_invalid_token(response):
            # In a thread: a person's tokens are in a store, which may wait.
            await asyncio.to_thread(self._recipe.forget, token)
            again = await self._recipe.atoken()
            response = yield _carrying(request, again)
            _require_accepted(response)

    def _require_own(self, request: httpx2.Request) -> None:
        origin = origin_of(str(request.url), self._policy)
        if origin not in self._origins:
            raise OriginNotAllowed(f"this token is not for {origin}")


def origin_of(url: str, policy: FetchPolicy) -> str:
    """Scheme, host and port, all spelled out.

    Raises:
        OriginNotAllowed: a token never goes to such an address.
    """
    try:
        parts = require_safe_url(url, policy)
    except FetchRefused as refusal:
        raise OriginNotAllowed(refusal.reason) from None
    return f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


def _is_replayable(request: httpx2.Request) -> bool:
    # Asked before it is sent. A body that was streamed is gone then; sending half of it again would
    # be worse than the 401.
    return isinstance(request.stream, httpx2.ByteStream)


def _carrying(request: httpx2.Request, token: Secret) -> httpx2.Request:
    # RFC 6750 §2.1
    request.headers["authorization"] = f"Bearer {token.reveal()}"
    return request


def _says_invalid_token(response: httpx2.Response) -> bool:
    if response.status_code != 401:
        return False
    challenges = parse_challenges(response.headers.get_list("www-authenticate"))
    return any(
        challenge.is_for("Bearer") and challenge.parameters.get("error") == "invalid_token"
        for challenge in challenges
    )


def _require_accepted(response: httpx2.Response) -> None:
    _require_enough(response)
    if _says_invalid_token(response):
        raise TokenRejected("the API refused a fresh token as well")


def _require_enough(response: httpx2.Response) -> None:
    if response.status_code != 403:
        return
    for challenge in parse_challenges(response.headers.get_list("www-authenticate")):
        if challenge.parameters.get("error") == "insufficient_scope":
            raise InsufficientScope(_scope(challenge.parameters.get("scope", "")))


def _scope(text: str) -> Scope:
    try:
        return parse_scope(text)
    except OAuthError:
        return frozenset()
