"""A token on a request of httpx, the library that httpx2 came from."""

from collections.abc import AsyncGenerator, Generator, Iterable
from typing import TYPE_CHECKING, final

import httpx

from mintmark.client.attachment import Attachment
from mintmark.client.flow import async_flow, sync_flow, unrepeated
from mintmark.fetch import FetchPolicy

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe

__all__ = ["HttpxAuth"]


@final
class HttpxAuth(httpx.Auth):
    """For `httpx.Client` and `httpx.AsyncClient` what `TokenAuth` is for httpx2."""

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        self._attachment = Attachment(recipe, origins, policy)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        return sync_flow(self._attachment, request, _put, replayable=_is_replayable(request))

    def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        return async_flow(self._attachment, request, _put, replayable=_is_replayable(request))


def _put(request: httpx.Request, proof: str) -> None:
    request.headers = unrepeated(request.headers, httpx.Headers, proof)


def _is_replayable(request: httpx.Request) -> bool:
    # Asked before it is sent, as in `auth.py`.
    return isinstance(request.stream, httpx.ByteStream)
