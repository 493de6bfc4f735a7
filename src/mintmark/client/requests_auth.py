"""A token on a request of requests.

requests asks its auth object once, as it prepares a request, and from then on carries the header
itself. So a redirect is looked at here before requests follows it: the token is taken off unless
the next address is its own, whatever the session thinks of that address. One thing cannot be seen
from here: a prepared request whose address is changed by hand before it is sent.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urljoin

from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.exceptions import UnrewindableBodyError
from requests.sessions import SessionRedirectMixin
from requests.utils import requote_uri, rewind_body

from mintmark.client.attachment import Answer, Attachment
from mintmark.client.errors import OriginNotAllowed
from mintmark.client.sending import Carried, Sending, carried_before
from mintmark.fetch import FetchPolicy
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe

__all__ = ["RequestsAuth"]

HEADER = "Authorization"
PROOF = "DPoP"


@final
class RequestsAuth(AuthBase):
    """For `requests.get(..., auth=...)` and `session.auth` what `TokenAuth` is for httpx2.

    Shared by any number of threads: it keeps nothing about a request.
    """

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        self._attachment = Attachment(recipe, origins, policy)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        carried = Sending(self._attachment).first(request.method or "", request.url or "")
        _put(request, carried)
        request.register_hook("response", self._answered)
        return request

    def _answered(self, response: Response, **how: Any) -> Response:
        """Called with every answer, of each step of a redirect too, before anybody else sees it."""
        judged = self._judged(response, **how)
        if judged.is_redirect:
            self._go_on(judged)
        return judged

    def _go_on(self, response: Response) -> None:
        """The session copies this very request for the next step of a redirect."""
        request = response.request
        token = self._token_of(request)
        try:
            location = requote_uri(response.headers["location"])
            url = urljoin(response.url, location)
            self._attachment.require_own(url)
        except (OriginNotAllowed, ValueError):
            # By itself it would keep the header when http turns into https, and a session of the
            # caller's may keep it always.
            request.headers.pop(HEADER, None)
            request.headers.pop(PROOF, None)
            return
        if token is not None and PROOF in request.headers:
            step = request.copy()
            SessionRedirectMixin().rebuild_method(step, response)
            sending = Sending(self._attachment, carried_before(token))
            _put(request, sending.carrying(step.method or "", url))

    def _token_of(self, request: PreparedRequest) -> Secret | None:
        scheme, _, token = str(request.headers.get(HEADER, "")).partition(" ")
        # Otherwise a step of a redirect that carried no token, or the caller's own header.
        return Secret(token) if scheme == self._attachment.scheme else None

    def _judged(self, response: Response, **how: Any) -> Response:
        request = response.request
        token = self._token_of(request)
        if token is None:
            return response
        sending = Sending(self._attachment, carried_before(token))
        while True:
            try:
                carried = sending.again(
                    _answer(response),
                    request.method or "",
                    request.url or "",
                    replayable=_is_replayable(request),
                )
            except BaseException:
                response.close()
                raise
            if carried is None or not _rewound(request):
                return response
            # The request itself, not a copy: a redirect that follows goes on with the new token.
            _put(request, carried)
            refused = response
            # Read to its end, so that the connection can be used again. No hook is called for
            # what the connection sends: this loop hears of every answer.
            _ = refused.content
            refused.close()
            response = refused.connection.send(request, **how)
            response.history.append(refused)


def _put(request: PreparedRequest, carried: Carried) -> None:
    request.headers[HEADER] = carried.authorization.reveal()
    if carried.dpop is not None:
        request.headers[PROOF] = carried.dpop


def _is_replayable(request: PreparedRequest) -> bool:
    # A generator has no `seek`. It is used up, and half of it sent again would be worse than the
    # 401.
    body = request.body
    return body is None or isinstance(body, str | bytes) or hasattr(body, "seek")


def _rewound(request: PreparedRequest) -> bool:
    """Whether the body is at its beginning; a file is put back to where it was."""
    if request.body is None or isinstance(request.body, str | bytes):
        return True
    try:
        rewind_body(request)
    except (UnrewindableBodyError, ValueError):  # a pipe; a file that was closed
        return False
    return True


def _answer(response: Response) -> Answer:
    challenge = response.headers.get("www-authenticate", "")
    return Answer(
        response.url, response.status_code, (challenge,), response.headers.get("dpop-nonce")
    )
