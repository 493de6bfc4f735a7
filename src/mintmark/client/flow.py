"""The rules of `attachment.py` as an auth flow, for httpx2 and httpx alike.

Both hand a request to a generator, send what it yields, and give it the answer. Their requests and
answers look the same and are not of the same type, so this module imports neither library.
"""

from collections.abc import AsyncGenerator, Generator, MutableMapping
from typing import Protocol, TypeVar

from mintmark.client.attachment import ABOUT_THE_TOKEN, Answer, Attachment, header_with
from mintmark.secret import Secret

__all__ = ["async_flow", "sync_flow"]


class _Request(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def url(self) -> object: ...
    @property
    def headers(self) -> MutableMapping[str, str]: ...


class _Headers(Protocol):
    def get_list(self, key: str) -> list[str]: ...


class _Response(Protocol):
    @property
    def status_code(self) -> int: ...
    @property
    def url(self) -> object: ...
    @property
    def request(self) -> _Request: ...
    @property
    def headers(self) -> _Headers: ...


_Sent = TypeVar("_Sent", bound=_Request)
_Got = TypeVar("_Got", bound=_Response)


def sync_flow(
    attachment: Attachment, request: _Sent, *, replayable: bool
) -> Generator[_Sent, _Got, None]:
    """For a synchronous client."""
    token = attachment.token_for(str(request.url))
    response = yield _carrying(request, token)
    if response.status_code not in ABOUT_THE_TOKEN:
        return
    replayable = replayable and _was_answered(request, response)
    again = attachment.renewed(_answer(response), token, replayable=replayable)
    if again is not None:
        response = yield _carrying(request, again)
        attachment.require_accepted(_answer(response))


async def async_flow(
    attachment: Attachment, request: _Sent, *, replayable: bool
) -> AsyncGenerator[_Sent, _Got]:
    """For an asynchronous client."""
    token = await attachment.atoken_for(str(request.url))
    response = yield _carrying(request, token)
    if response.status_code not in ABOUT_THE_TOKEN:
        return
    replayable = replayable and _was_answered(request, response)
    again = await attachment.arenewed(_answer(response), token, replayable=replayable)
    if again is not None:
        response = yield _carrying(request, again)
        attachment.require_accepted(_answer(response))


def _carrying(request: _Sent, token: Secret) -> _Sent:
    request.headers["authorization"] = header_with(token)
    return request


def _was_answered(request: _Request, response: _Response) -> bool:
    # A POST that was answered "see there" is done. Where it pointed to has refused the GET; to
    # repeat the POST for that would do its work twice.
    return response.request.method == request.method


def _answer(response: _Response) -> Answer:
    challenges = response.headers.get_list("www-authenticate")
    return Answer(str(response.url), response.status_code, challenges)
