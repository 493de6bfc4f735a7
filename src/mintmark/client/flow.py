"""The rules of `attachment.py` as an auth flow, for httpx2 and httpx alike.

Both hand a request to a generator, send what it yields, and give it the answer. Their requests and
answers look the same and are not of the same type, so this module imports neither library.

Redirects are followed within one `yield`, with the headers of the first request. A proof is for one
address and one attempt, so it is put where a redirect does not find it (`unrepeated`); an API
then refuses the step for want of a proof, and that step alone is sent again, with its own.
"""

from collections.abc import AsyncGenerator, Callable, Generator, MutableMapping
from typing import Any, Final, Protocol, TypeVar

from mintmark.client.attachment import ABOUT_THE_TOKEN, Answer, Attachment, Url, header_with
from mintmark.client.sending import Carried, Sending, carried_before

__all__ = ["async_flow", "sync_flow", "unrepeated"]

STEPS: Final = 10
"""Of redirects, for which a proof is made."""


class _Request(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def url(self) -> Url: ...
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
    def request(self) -> Any: ...
    @property
    def headers(self) -> _Headers: ...


_Sent = TypeVar("_Sent", bound=_Request)
_Got = TypeVar("_Got", bound=_Response)
_Put = Callable[[_Sent, str], None]


def sync_flow(
    attachment: Attachment, request: _Sent, put: _Put[_Sent], *, replayable: bool
) -> Generator[_Sent, _Got, None]:
    """For a synchronous client.

    Args:
        put: puts a proof on a request, for this attempt alone.
    """
    if attachment.sender is None:
        # Nearly every request: no proof, and an answer that is the caller's. It costs little.
        attachment.require_own_url(request.url)
        token = attachment.recipe.token()
        request.headers["authorization"] = header_with(token)
        response = yield request
        if response.status_code not in ABOUT_THE_TOKEN:
            return
        carried = carried_before(token)
        sending = Sending(attachment, carried)
    else:
        sending = Sending(attachment)
        carried = sending.first(request.method, str(request.url))
        response = yield _carrying(request, carried, put)
    for _ in range(STEPS):
        answer = _answer(response)
        if _lost_its_proof(attachment, request, response, carried):
            request = response.request
            carried = sending.carrying(request.method, answer.url)
        else:
            replayable = replayable and _was_answered(request, response)
            again = sending.again(answer, request.method, str(request.url), replayable=replayable)
            if again is None:
                return
            carried = again
        response = yield _carrying(request, carried, put)


async def async_flow(
    attachment: Attachment, request: _Sent, put: _Put[_Sent], *, replayable: bool
) -> AsyncGenerator[_Sent, _Got]:
    """For an asynchronous client."""
    if attachment.sender is None:
        # Nearly every request: no proof, and an answer that is the caller's. It costs little.
        attachment.require_own_url(request.url)
        token = await attachment.recipe.atoken()
        request.headers["authorization"] = header_with(token)
        response = yield request
        if response.status_code not in ABOUT_THE_TOKEN:
            return
        carried = carried_before(token)
        sending = Sending(attachment, carried)
    else:
        sending = Sending(attachment)
        carried = await sending.afirst(request.method, str(request.url))
        response = yield _carrying(request, carried, put)
    for _ in range(STEPS):
        answer = _answer(response)
        if _lost_its_proof(attachment, request, response, carried):
            request = response.request
            carried = await sending.acarrying(request.method, answer.url)
        else:
            replayable = replayable and _was_answered(request, response)
            again = await sending.aagain(
                answer, request.method, str(request.url), replayable=replayable
            )
            if again is None:
                return
            carried = again
        response = yield _carrying(request, carried, put)


def unrepeated(headers: Any, kind: type[Any], proof: str) -> Any:
    """A copy of a library's `Headers` that shows a proof to what sends them, and to no copy."""
    plain = kind(headers)
    plain.pop("dpop", None)
    made = _kind_of(kind)(plain)
    made.proven = [*plain.raw, (b"DPoP", proof.encode("ascii"))]
    return made


_kinds: dict[type[Any], type[Any]] = {}


def _kind_of(kind: type[Any]) -> type[Any]:
    if kind not in _kinds:
        _kinds[kind] = type("Unrepeated", (kind,), {"raw": property(lambda self: self.proven)})
    return _kinds[kind]


def _carrying(request: _Sent, carried: Carried, put: _Put[_Sent]) -> _Sent:
    request.headers["authorization"] = carried.authorization.reveal()
    if carried.dpop is not None:
        put(request, carried.dpop)
    return request


def _lost_its_proof(
    attachment: Attachment, request: _Request, response: _Response, carried: Carried
) -> bool:
    # Another object: a step of a redirect. It was refused, so nothing was done by it.
    redirected = response.request is not request
    refused = response.status_code == 401 and carried.dpop is not None
    return redirected and refused and attachment.is_own(str(response.url))


def _was_answered(request: _Request, response: _Response) -> bool:
    # A POST that was answered "see there" is done. Where it pointed to has refused the GET; to
    # repeat the POST for that would do its work twice.
    return bool(response.request.method == request.method)


def _answer(response: _Response) -> Answer:
    challenges = response.headers.get_list("www-authenticate")
    nonces = response.headers.get_list("dpop-nonce")
    # Two nonces are none.
    nonce = nonces[0] if len(nonces) == 1 else None
    return Answer(str(response.url), response.status_code, challenges, nonce)
