"""A token on a prepared request: of requests, and of niquests, which grew out of it.

Both ask an auth object once, as they prepare a request, and from then on carry the header
themselves. So a redirect is looked at here before they follow it: the token is taken off unless the
next address is its own, whatever the session thinks of that address. One thing cannot be seen from
here: a prepared request whose address is changed by hand before it is sent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from mintmark.client.attachment import Answer, Attachment
from mintmark.client.errors import OriginNotAllowed
from mintmark.client.sending import Sending, carried_before
from mintmark.fetch import FetchPolicy
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe
    from mintmark.client.sending import Carried

__all__ = ["Library", "PreparedAuth", "Preparing", "answer_of", "is_replayable", "put"]

HEADER = "Authorization"
PROOF = "DPoP"


@dataclass(frozen=True, slots=True)
class Library:
    """What the two have under names of their own."""

    requote: Callable[[str], str]
    change_method: Callable[[Any, Any], None]  # of the next step, as an answer has it
    rewind: Callable[[Any], None]
    not_rewound: type[Exception]
    again: Mapping[str, Any] = field(default_factory=dict)  # how a request is sent once more


class Preparing:
    """What is the same for threads and coroutines."""

    def __init__(
        self, library: Library, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy
    ) -> None:
        self._library = library
        self._attachment = Attachment(recipe, origins, policy)

    def _sending(self, request: Any) -> Sending | None:
        """The request as it was sent; None if it carried no token of ours."""
        token = self._token_of(request)
        return Sending(self._attachment, carried_before(token)) if token is not None else None

    def _next_step(self, response: Any) -> tuple[Sending, str, str] | None:
        """What a redirect needs a proof for; without a token of ours none is needed."""
        request = response.request
        sending = self._sending(request)
        try:
            url = urljoin(response.url, self._library.requote(response.headers["location"]))
            self._attachment.require_own(url)
        except (OriginNotAllowed, ValueError):
            # By itself it would keep the header when http turns into https, and a session of the
            # caller's may keep it always.
            request.headers.pop(HEADER, None)
            request.headers.pop(PROOF, None)
            return None
        if sending is None or PROOF not in request.headers:
            return None
        step = request.copy()
        self._library.change_method(step, response)
        return sending, step.method or "", url

    def _token_of(self, request: Any) -> Secret | None:
        scheme, _, token = str(request.headers.get(HEADER, "")).partition(" ")
        # Otherwise a step of a redirect that carried no token, or the caller's own header.
        return Secret(token) if scheme == self._attachment.scheme else None

    def _rewound(self, request: Any) -> bool:
        """Whether the body is at its beginning; a file is put back to where it was."""
        if request.body is None or isinstance(request.body, str | bytes):
            return True
        try:
            self._library.rewind(request)
        except (self._library.not_rewound, ValueError):  # a pipe; a file that was closed
            return False
        return True


class PreparedAuth(Preparing):
    """For threads. Shared by any number of them: it keeps nothing about a request."""

    def __call__(self, request: Any) -> Any:
        put(request, Sending(self._attachment).first(request.method or "", request.url or ""))
        request.register_hook("response", self._answered)
        return request

    def _answered(self, response: Any, **how: Any) -> Any:
        """Called with every answer, of each step of a redirect too, before anybody else sees it."""
        judged = self._judged(response, **how)
        if judged.is_redirect:
            # The session copies this very request for the next step.
            step = self._next_step(judged)
            if step is not None:
                sending, method, url = step
                put(judged.request, sending.carrying(method, url))
        return judged

    def _judged(self, response: Any, **how: Any) -> Any:
        request = response.request
        sending = self._sending(request)
        while sending is not None:
            try:
                carried = sending.again(
                    answer_of(response),
                    request.method or "",
                    request.url or "",
                    replayable=is_replayable(request),
                )
            except BaseException:
                response.close()
                raise
            if carried is None or not self._rewound(request):
                return response
            # The request itself, not a copy: a redirect that follows goes on with the new token.
            put(request, carried)
            refused = response
            # Read to its end, so that the connection can be used again. No hook is called for
            # what the connection sends: this loop hears of every answer.
            _ = refused.content
            refused.close()
            response = refused.connection.send(request, **{**how, **self._library.again})
            response.history.append(refused)
        return response


def put(request: Any, carried: "Carried") -> None:
    request.headers[HEADER] = carried.authorization.reveal()
    if carried.dpop is not None:
        request.headers[PROOF] = carried.dpop


def is_replayable(request: Any) -> bool:
    # A generator has no `seek`. It is used up, and half of it sent again would be worse than the
    # 401.
    body = request.body
    return body is None or isinstance(body, str | bytes) or hasattr(body, "seek")


def answer_of(response: Any) -> Answer:
    challenge = response.headers.get("www-authenticate", "")
    return Answer(
        response.url, response.status_code, (challenge,), response.headers.get("dpop-nonce")
    )
