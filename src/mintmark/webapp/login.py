"""Sign-in, session and sign-out as middleware of a Starlette or FastAPI application."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from datetime import timedelta
from typing import Any, final
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    DelegatedToken,
    LoginFailed,
    LoginRequired,
    RequestSigning,
    ResponseMode,
    StepUpRequired,
)
from mintmark.clock import Clock, SystemClock
from mintmark.events import Events, LogEvents
from mintmark.protocol.cookie import read_cookie, set_cookie
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret
from mintmark.webapp.cross_site import (
    CrossSite,
    field_of,
    require_own_form,
    require_own_site,
)
from mintmark.webapp.events import CrossSiteRefused, SignInFailed
from mintmark.webapp.exchange import body_of, form_field, here, is_navigation, redirect
from mintmark.webapp.return_to import local_path
from mintmark.webapp.sessions import SessionRecord, SessionStore, User
from mintmark.webapp.sign_in import SignIn, SignOut, mark_of
from mintmark.webapp.vault import Vault

__all__ = ["ATTEMPT", "SESSION", "WebLogin"]

SESSION = "__Host-session"
ATTEMPT = "__Host-sign-in"
STEP_UP = "__Host-step-up"
STATE = "mintmark.session"
ONE_STEP_UP = timedelta(minutes=1)

AsgiScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class SignInRequired(Exception):
    """A page wants to know who is there, and nobody is."""


@final
class WebLogin:
    """Signs people in to one application.

    Args:
        client: who this application is at the token server.
        base_url: this application's own origin, `https://shop.example`.
        sessions: where sessions and tokens are kept.
        vault: seals what is kept.
        scope, resource: what is asked for at sign-in; `openid` has to be among the scope.
        par, request_signing, response_mode: how, as `Client.login` has them.
        options: further arguments of `LoginFlow.begin`, the same for every sign-in.
        idle, absolute: how long a session lives without use, and however busy it is.
    """

    def __init__(
        self,
        client: Client,
        *,
        base_url: str,
        sessions: SessionStore,
        vault: Vault,
        scope: str,
        resource: str | Iterable[str] = (),
        par: bool = False,
        request_signing: RequestSigning | None = None,
        response_mode: ResponseMode | None = None,
        options: Mapping[str, Any] | None = None,
        idle: timedelta = timedelta(hours=1),
        absolute: timedelta = timedelta(hours=12),
        clock: Clock | None = None,
        events: Events | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._client = client
        self._sessions = sessions
        self._clock = clock or SystemClock()
        self._events = events or LogEvents()
        self._idle = idle
        flow = client.login(
            redirect_uri=f"{self._origin}/callback",
            scope=scope,
            resource=resource,
            par=par,
            request_signing=request_signing,
            response_mode=response_mode,
        )
        self._is_posted = response_mode is not None and response_mode.is_posted
        self._sign_in = SignIn(
            flow=flow,
            sessions=sessions,
            vault=vault,
            clock=self._clock,
            events=self._events,
            absolute=absolute,
            options=options or {},
        )
        self._sign_out = SignOut(
            client=client, sessions=sessions, events=self._events, back=f"{self._origin}/"
        )

    def install(self, app: Starlette) -> None:
        """Add `/login`, `/callback` and `/logout`, sessions, and the refusals that go with them."""
        app.add_middleware(_Sessions, login=self)
        app.add_exception_handler(SignInRequired, self._must_sign_in)
        app.add_exception_handler(LoginRequired, self._tokens_ended)
        app.add_exception_handler(StepUpRequired, self._step_up)
        app.add_exception_handler(CrossSite, self._cross_site)

    def user(self, connection: HTTPConnection) -> User | None:
        """Whoever is signed in."""
        record = self.session(connection)
        return record.user if record is not None else None

    def session(self, connection: HTTPConnection) -> SessionRecord | None:
        record = connection.scope.get("state", {}).get(STATE)
        return record if isinstance(record, SessionRecord) else None

    async def required(self, connection: HTTPConnection) -> User:
        """A FastAPI dependency, or to be called: the person, or on to the sign-in.

        Pages lead to the sign-in; scripts, which cannot go there, get 401.
        """
        user = self.user(connection)
        if user is None:
            raise SignInRequired
        return user

    def form_field(self, connection: HTTPConnection) -> str:
        """The hidden field `cross_site` that a form to `/logout` needs."""
        cookie = read_cookie(connection.headers.raw, SESSION)
        return field_of(cookie) if cookie is not None else ""

    def token(
        self,
        connection: HTTPConnection,
        *,
        resource: str | Iterable[str] = (),
        scope: str | Scope = "",
    ) -> DelegatedToken:
        """The signed-in person's token for an API, renewed as needed.

        Raises:
            SignInRequired: nobody is signed in.
        """
        cookie = read_cookie(connection.headers.raw, SESSION)
        if cookie is None or self.session(connection) is None:
            raise SignInRequired
        return self._client.user_token(cookie, self._sessions, resource=resource, scope=scope)

    async def answer(self, request: Request) -> Response | None:
        """This login's own addresses; None for every other."""
        match request.method, request.url.path:
            case "GET", "/login":
                return_to = local_path(request.query_params.get("return_to"))
                return await self._begin(request, return_to)
            case ("GET", "/callback") if not self._is_posted:
                return await self._finish(request, request.url.query)
            case ("POST", "/callback") if self._is_posted:
                return await self._finish(request, await body_of(request))
            case "POST", "/logout":
                return await self._end(request)
            case _, "/callback" if self._is_posted:
                return Response(status_code=405, headers={"allow": "POST"})
            case _, "/login" | "/callback":
                return Response(status_code=405, headers={"allow": "GET"})
            case _, "/logout":
                # A link or an image could be followed by anybody's page.
                return Response(status_code=405, headers={"allow": "POST"})
        return None

    async def find(self, request: HTTPConnection) -> SessionRecord | None:
        cookie = read_cookie(request.headers.raw, SESSION)
        if cookie is None:
            return None
        now = self._clock.now()
        # In a thread: a store may wait, for a disk or another process, and nobody else may then.
        return await asyncio.to_thread(
            self._sessions.find, cookie.digest(), now=now, idle_since=now - self._idle
        )

    def require_own_site(self, request: Request) -> None:
        # The one form that another site posts here: `state` and a cookie say whose it is.
        if not (self._is_posted and (request.method, request.url.path) == ("POST", "/callback")):
            require_own_site(request.method, request.headers, self._origin)

    async def _begin(
        self, request: Request, return_to: str, step_up: StepUpRequired | None = None
    ) -> Response:
        browser = read_cookie(request.headers.raw, ATTEMPT) or Secret.generate()
        previous = read_cookie(request.headers.raw, SESSION)
        try:
            url = await asyncio.to_thread(
                self._sign_in.begin, browser, return_to, previous, step_up
            )
        except LoginFailed as failure:
            return self._failed(failure.reason, 503, "The sign-in cannot begin.")
        except AuthorityUnavailable as failure:
            return self._failed(failure.reason, 503, "The sign-in page cannot be reached.")
        same_site = "None" if self._is_posted else "Lax"
        return redirect(url, set_cookie(ATTEMPT, browser, same_site=same_site))

    async def _finish(self, request: Request, answer: str) -> Response:
        browser = read_cookie(request.headers.raw, ATTEMPT)
        previous = read_cookie(request.headers.raw, SESSION)
        try:
            cookie, return_to = await asyncio.to_thread(
                self._sign_in.finish, answer, browser, previous
            )
        except LoginFailed as failure:
            if failure.error == "access_denied":
                return self._failed(
                    failure.reason, 403, "You did not allow it, so nobody is signed in."
                )
            return self._failed(failure.reason, 400, "This sign-in did not work. Begin again.")
        except AuthorityUnavailable as failure:
            return self._failed(failure.reason, 503, "The sign-in could not be completed.")
        return redirect(return_to, set_cookie(SESSION, cookie))

    async def _end(self, request: Request) -> Response:
        cookie = read_cookie(request.headers.raw, SESSION)
        require_own_form(cookie, await form_field(request, "cross_site"))
        assert cookie is not None
        url = await asyncio.to_thread(self._sign_out.end, cookie)
        return redirect(url, set_cookie(SESSION, None))

    def _failed(self, reason: str, status: int, text: str) -> Response:
        self._events.emit(SignInFailed(reason=reason))
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width, initial-scale=1"><title>Sign in</title>'
            f'<main><h1>Sign in</h1><p>{text}</p><p><a href="/login">Try again</a></p></main></html>'
        )
        headers = {
            "cache-control": "no-store",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
            "x-content-type-options": "nosniff",
        }
        return Response(page, status, headers, "text/html; charset=utf-8")

    async def _must_sign_in(self, request: Request, _: Exception) -> Response:
        return self._lead_to_sign_in(request)

    async def _tokens_ended(self, request: Request, _: Exception) -> Response:
        # The server will not renew this person's tokens: the session has nothing left to stand on.
        cookie = read_cookie(request.headers.raw, SESSION)
        if cookie is not None:
            await asyncio.to_thread(self._sessions.end, cookie.digest())
            self._client.end_session(cookie)
        return self._lead_to_sign_in(request)

    def _lead_to_sign_in(self, request: Request) -> Response:
        if not is_navigation(request):
            return JSONResponse({"error": "login_required"}, 401, {"cache-control": "no-store"})
        return redirect(f"/login?{urlencode({'return_to': here(request)})}", None)

    async def _step_up(self, request: Request, wanted: Exception) -> Response:
        assert isinstance(wanted, StepUpRequired)
        if not is_navigation(request):
            return JSONResponse({"error": "step_up_required"}, 403, {"cache-control": "no-store"})
        mark, record = mark_of(wanted), self.session(request)
        if record is None:
            return self._lead_to_sign_in(request)
        # Just back from asking for the same: asking once more would go on in a circle.
        fresh = self._clock.now() - record.began < ONE_STEP_UP
        if fresh and read_cookie(request.headers.raw, STEP_UP) == mark:
            answer = self._failed(str(wanted), 403, "That needs more than this sign-in gave.")
            answer.headers.append("set-cookie", set_cookie(STEP_UP, None))
            return answer
        answer = await self._begin(request, local_path(here(request)), wanted)
        if answer.status_code == 303:
            answer.headers.append("set-cookie", set_cookie(STEP_UP, mark))
        return answer

    async def _cross_site(self, request: Request, refusal: Exception) -> Response:
        return self.cross_site(request, str(refusal))

    def cross_site(self, request: Request, reason: str) -> Response:
        self._events.emit(CrossSiteRefused(reason=reason, path=request.url.path))
        return JSONResponse({"error": "cross_site"}, 403, {"cache-control": "no-store"})


@final
class _Sessions:
    """Finds the session of each request, and answers the login's own addresses."""

    def __init__(self, app: Any, login: WebLogin) -> None:
        self._app = app
        self._login = login

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})[STATE] = await self._login.find(HTTPConnection(scope))
        if scope["type"] == "http":
            request = Request(scope, receive)
            try:
                self._login.require_own_site(request)
                response = await self._login.answer(request)
            except CrossSite as refusal:
                response = self._login.cross_site(request, str(refusal))
            if response is not None:
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
