"""A token on a request of aiohttp, as a client middleware.

aiohttp calls its middlewares for every step of a redirect, with a request that carries nothing of
the step before. So a redirect to another origin is refused like a first request there: the call
raises `OriginNotAllowed`, and nothing is sent.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, final

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, Payload, hdrs

from mintmark.client.attachment import ABOUT_THE_TOKEN, Answer, Attachment, header_with
from mintmark.fetch import FetchPolicy
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe

__all__ = ["AiohttpAuth"]


@final
class AiohttpAuth:
    """For `aiohttp.ClientSession(middlewares=[...])` what `TokenAuth` is for httpx2."""

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        self._attachment = Attachment(recipe, origins, policy)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        token = await self._attachment.atoken_for(str(request.url))
        response = await _send(request, handler, token)
        if response.status not in ABOUT_THE_TOKEN:
            return response
        try:
            again = await self._attachment.arenewed(
                _answer(response), token, replayable=_is_replayable(request)
            )
        except BaseException:
            response.close()
            raise
        if again is None:
            return response
        response.release()
        # The API may have answered before it had the whole body. Only when its writer has let go
        # can the body be written again from its beginning.
        await request.close()
        return await self._repeat(request, handler, again)

    async def _repeat(
        self, request: ClientRequest, handler: ClientHandlerType, token: Secret
    ) -> ClientResponse:
        response = await _send(request, handler, token)
        try:
            self._attachment.require_accepted(_answer(response))
        except BaseException:
            response.close()
            raise
        return response


async def _send(
    request: ClientRequest, handler: ClientHandlerType, token: Secret
) -> ClientResponse:
    request.headers[hdrs.AUTHORIZATION] = header_with(token)
    return await handler(request)


def _is_replayable(request: ClientRequest) -> bool:
    # Asked after it was sent: a body that can be read once alone knows then that it was.
    body = request.body
    return not (isinstance(body, Payload) and body.consumed)


def _answer(response: ClientResponse) -> Answer:
    challenges = response.headers.getall(hdrs.WWW_AUTHENTICATE, [])
    return Answer(str(response.url), response.status, challenges)
