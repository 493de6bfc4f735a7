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
from requests.utils import requote_uri, rewind_body

from mintmark.client.attachment import ABOUT_THE_TOKEN, Answer, Attachment, header_with
from mintmark.client.errors import OriginNotAllowed
from mintmark.fetch import FetchPolicy
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe

__all__ = ["RequestsAuth"]

HEADER = "Authorization"
SCHEME = "Bearer "


@final
class RequestsAuth(AuthBase):
    """For `requests.get(..., auth=...)` and `session.auth` what `TokenAuth` is for httpx2.

    Shared by any number of threads: it keeps nothing about a request.
    """

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        self._attachment = Attachment(recipe, origins, policy)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        token = self._attachment.token_for(request.url or "")
        request.headers[HEADER] = header_with(token)
        request.register_hook("response", self._answered)
        return request

    def _answered(self, response: Response, **how: Any) -> Response:
        """Called with every answer, of each step of a redirect too, before anybody else sees it."""
        if response.is_redirect:
            self._let_go_elsewhere(response)
        if response.status_code not in ABOUT_THE_TOKEN:
            return response
        try:
            return self._judged(response, **how)
        except BaseException:
            response.close()
            raise

    def _let_go_elsewhere(self, response: Response) -> None:
        try:
            location = requote_uri(response.headers["location"])
            self._attachment.require_own(urljoin(response.url, location))
        except (OriginNotAllowed, ValueError):
            # The session copies this very request for the next step. By itself it would keep the
            # header when http turns into https, and a session of the caller's may keep it always.
            response.request.headers.pop(HEADER, None)

    def _judged(self, response: Response, **how: Any) -> Response:
        request = response.request
        value = str(request.headers.get(HEADER, ""))
        if not value.startswith(SCHEME):
            return response  # a step of a redirect that carried no token
        again = self._attachment.renewed(
            _answer(response),
            Secret(value.removeprefix(SCHEME)),
            replayable=_is_replayable(request),
        )
        if again is None or not _rewound(request):
            return response
        # The request itself, not a copy: a redirect that follows goes on with the new token.
        request.headers[HEADER] = header_with(again)
        return self._repeated(response, request, **how)

    def _repeated(self, refused: Response, request: PreparedRequest, **how: Any) -> Response:
        # Read to its end, so that the connection can be used again. No hook is called for what
        # the connection sends, so this happens once.
        _ = refused.content
        refused.close()
        response: Response = refused.connection.send(request, **how)
        response.history.append(refused)
        try:
            self._attachment.require_accepted(_answer(response))
        except BaseException:
            response.close()
            raise
        if response.is_redirect:
            self._let_go_elsewhere(response)
        return response


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
    return Answer(response.url, response.status_code, (challenge,))
