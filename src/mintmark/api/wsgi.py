"""The guard as WSGI middleware: the same core, for applications that cannot await."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, final

from mintmark.api.admission import Admitted
from mintmark.api.answers import Answer
from mintmark.api.asgi import is_preflight, path_of
from mintmark.api.entrance import Entrance
from mintmark.api.environ import scope_of
from mintmark.api.policy import PUBLIC
from mintmark.api.refusal import Refused
from mintmark.api.rules import Rules
from mintmark.protocol.message import HttpResponse

if TYPE_CHECKING:
    from mintmark.api.gate import Gate

__all__ = [
    "CALLER",
    "RULED",
    "SCHEME",
    "Environ",
    "WsgiApp",
    "WsgiGuard",
    "ends_with_token",
    "refusal_headers",
]

Environ = MutableMapping[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[Any, Any], Iterable[bytes]]
Header = tuple[str, str]

CALLER: Final = "mintmark.caller"
"""Where an application finds the `Caller`: `environ["mintmark.caller"]`."""

SCHEME: Final = "mintmark.scheme"
RULED: Final = "mintmark.ruled"
"""Whether a rule for this path has let the request in, so that its route need not say anything."""


@final
class WsgiGuard:
    """Lets a request through, or answers it."""

    def __init__(self, gate: "Gate", app: WsgiApp, rules: Rules, *, closed: bool = True) -> None:
        """`closed`: see `Entrance.require_let_in`."""
        self._entrance = Entrance(gate)
        self._app = app
        self._rules = rules
        self._closed = closed

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        scope = scope_of(environ)
        published = self._entrance.gate.published(scope)
        if published is not None:
            return _respond(published, environ, start_response)
        policy = self._rules.policy_for(path_of(scope))
        environ[RULED] = policy is PUBLIC
        if policy is PUBLIC or is_preflight(scope):
            return self._app(environ, start_response)
        try:
            admitted = self._entrance.require_let_in_now(scope, policy, closed=self._closed)
        except Refused as refused:
            return _answer(refused.answer, environ, start_response)
        environ[CALLER] = admitted.caller
        environ[SCHEME] = admitted.scheme
        environ[RULED] = policy is not None
        return self._serve(environ, start_response, admitted)

    def _serve(
        self, environ: Environ, start_response: StartResponse, admitted: Admitted
    ) -> Iterable[bytes]:
        nonce = self._entrance.gate.hand_on(admitted)
        streams: bool | None = None  # not known before the application has started its answer

        def start(status: str, headers: list[Header], *more: Any) -> Callable[[bytes], object]:
            nonlocal streams
            streams = any(name.lower() == "content-type" and _is_stream(v) for name, v in headers)
            # RFC 9449 §8.2: with a successful answer, too, so that nobody has to come twice.
            announced = [("DPoP-Nonce", nonce)] if nonce is not None else []
            return start_response(status, [*headers, *announced], *more)

        body = self._app(environ, start)
        # Nearly every answer is no stream, and goes on as it is: a server knows a list or a file.
        if streams is False:
            return body
        return _Ending(body, lambda: bool(streams), self._entrance, admitted)


@final
class _Ending:
    """The body of an answer; an event stream's ends at the first event after its token's end."""

    def __init__(
        self,
        body: Iterable[bytes],
        streams: Callable[[], bool],
        entrance: Entrance,
        admitted: Admitted,
    ) -> None:
        self._body = body
        self._streams = streams
        self._entrance = entrance
        self._admitted = admitted

    def __iter__(self) -> Iterator[bytes]:
        # Only now is it known what kind of answer it is: a generator starts it when it is read.
        for part in self._body:
            if self._streams() and self._entrance.seconds_left_now(self._admitted) <= 0:
                return
            yield part

    def close(self) -> None:
        close: Callable[[], object] | None = getattr(self._body, "close", None)
        if close is not None:
            close()


def _is_stream(content_type: str) -> bool:
    return content_type.lower().startswith("text/event-stream")


def ends_with_token(
    events: Iterable[bytes], entrance: Entrance, admitted: Admitted
) -> Iterator[bytes]:
    """An event stream that is over when its token is."""
    return iter(_Ending(events, lambda: True, entrance, admitted))


def refusal_headers(refusal: Answer) -> tuple[list[Header], bytes]:
    """The header fields of a refusal, each challenge one of its own, and the body."""
    response = refusal.response()
    headers = [(name.decode("ascii"), value.decode("ascii")) for name, value in response.headers]
    return [*headers, ("content-length", str(len(response.body)))], response.body


def _respond(
    response: HttpResponse, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers
    ]
    headers.append(("content-length", str(len(response.body))))
    start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]


def _answer(refusal: Answer, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    headers, body = refusal_headers(refusal)
    start_response(f"{refusal.status} {HTTPStatus(refusal.status).phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
