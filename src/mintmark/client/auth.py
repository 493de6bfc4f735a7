"""A token on a request of httpx2."""

from collections.abc import AsyncGenerator, Generator, Iterable
from typing import TYPE_CHECKING, final

import httpx2

from mintmark.client.attachment import Attachment
from mintmark.client.flow import async_flow, sync_flow, unrepeated
from mintmark.fetch import FetchPolicy

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe

__all__ = ["TokenAuth"]


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
        self._attachment = Attachment(recipe, origins, policy)

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        return sync_flow(self._attachment, request, _put, replayable=_is_replayable(request))

    def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        return async_flow(self._attachment, request, _put, replayable=_is_replayable(request))


def _put(request: httpx2.Request, proof: str) -> None:
    request.headers = unrepeated(request.headers, httpx2.Headers, proof)


def _is_replayable(request: httpx2.Request) -> bool:
    # Asked before it is sent. A body that was streamed is gone then; sending half of it again would
    # be worse than the 401.
    return isinstance(request.stream, httpx2.ByteStream)
