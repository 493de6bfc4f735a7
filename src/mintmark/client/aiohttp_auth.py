"""A token on a request of aiohttp, as a client middleware.

aiohttp calls its middlewares for every step of a redirect, with a request that carries nothing of
the step before. So a redirect to another origin is refused like a first request there: the call
raises `OriginNotAllowed`, and nothing is sent.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, final

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, Payload, hdrs

from mintmark.client.attachment import Answer, Attachment
from mintmark.client.sending import Carried, Sending
from mintmark.fetch import FetchPolicy

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe

__all__ = ["AiohttpAuth"]


@final
class AiohttpAuth:
    """For `aiohttp.ClientSession(middlewares=[...])` what `TokenAuth` is for httpx2."""

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        self._attachment = Attachment(recipe, origins, policy)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        method, url = request.method, str(request.url)
        sending = Sending(self._attachment)
        carried: Carried | None = await sending.afirst(method, url)
        while True:
            assert carried is not None
            response = await _send(request, handler, carried)
            try:
                carried = await sending.aagain(
                    _answer(response), method, url, replayable=_is_replayable(request)
                )
            except BaseException:
                response.close()
                raise
            if carried is None:
                return response
            response.release()
            # The API may have answered before it had the whole body. Only when its writer has let
            # go can the body be written again from its beginning.
            await request.close()


async def _send(
    request: ClientRequest, handler: ClientHandlerType, carried: Carried
) -> ClientResponse:
    request.headers[hdrs.AUTHORIZATION] = carried.authorization.reveal()
    if carried.dpop is not None:
        request.headers["DPoP"] = carried.dpop
    return await handler(request)


def _is_replayable(request: ClientRequest) -> bool:
    # Asked after it was sent: a body that can be read once alone knows then that it was.
    body = request.body
    return not (isinstance(body, Payload) and body.consumed)


def _answer(response: ClientResponse) -> Answer:
    challenges = response.headers.getall(hdrs.WWW_AUTHENTICATE, [])
    nonces = response.headers.getall("DPoP-Nonce", [])
    nonce = nonces[0] if len(nonces) == 1 else None
    return Answer(str(response.url), response.status, challenges, nonce)
