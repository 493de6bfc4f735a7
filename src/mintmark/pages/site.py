"""Every page's URL in one list, and what stands behind each."""

from collections.abc import Awaitable, Callable
from typing import final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.pages.cookies import SESSION
from mintmark.pages.device import DevicePages
from mintmark.pages.door import Door, NotEntered
from mintmark.pages.form_guard import ForeignForm, FormGuard
from mintmark.pages.render import Renderer
from mintmark.protocol.cookie import read_cookie
from mintmark.protocol.errors import OAuthError
from mintmark.server.accounts import Accounts
from mintmark.server.asgi import Disconnected, TooLarge, read_body
from mintmark.server.authorize.interaction import InteractionLost
from mintmark.server.authorize.outcome import AskConsent, AskLogin, Outcome, PostBack, Redirect
from mintmark.server.authorize.steps import Authorize
from mintmark.server.clients import ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.devices import Devices
from mintmark.server.end_session import AskLogout, EndSession, LogoutOutcome, SignedOut
from mintmark.server.events import RequestFailed
from mintmark.server.sessions import Sessions
from mintmark.server.stores import StoreUnavailable

__all__ = ["Site"]


@final
class Site:
    """The pages of one token server."""

    def __init__(
        self,
        *,
        config: ServerConfig,
        clients: ClientRegistry,
        accounts: Accounts,
        sessions: Sessions,
        authorize: Authorize,
        end_session: EndSession,
        devices: Devices,
        csrf_key: bytes,
        clock: Clock,
        events: Events,
    ) -> None:
        self._config = config
        self._sessions = sessions
        self._authorize = authorize
        self._end_session = end_session
        self._clock = clock
        self._events = events
        self._render = Renderer(config, clients, FormGuard(csrf_key))
        self._door = Door(
            accounts=accounts,
            sessions=sessions,
            guard=FormGuard(csrf_key),
            own_origin=self._render.own_origin,
            clock=clock,
            events=events,
        )
        self._devices = devices
        device = DevicePages(self._door, self._render, devices)
        self.app = Starlette(
            routes=[
                Route("/authorize", self._guarded(self._begin), methods=["GET", "POST"]),
                Route("/login", self._guarded(self._login), methods=["POST"]),
                Route("/consent", self._guarded(self._consent), methods=["POST"]),
                Route("/logout", self._guarded(self._begin_logout), methods=["GET", "POST"]),
                Route("/logout/confirmed", self._guarded(self._logout), methods=["POST"]),
                Route("/device", self._guarded(device.begin), methods=["GET"]),
                Route("/device", self._guarded(device.look), methods=["POST"]),
                Route("/device/sign-in", self._guarded(device.sign_in), methods=["POST"]),
                Route("/device/decision", self._guarded(device.decide), methods=["POST"]),
                Route("/static/{name}", self._guarded(self._static), methods=["GET"]),
                Route("/", self._guarded(self._front), methods=["GET"]),
                Route("/{rest:path}", self._guarded(self._nothing)),
            ]
        )

    def _guarded(
        self, page: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """The refusals that all pages share."""

        async def guarded(request: Request) -> Response:
            try:
                return await page(request)
            except OAuthError as refusal:
                return self._render.error(request, refusal.description, 400)
            except ForeignForm:
                return self._render.error(request, FOREIGN, 403)
            except InteractionLost:
                return self._render.error(request, LOST, 400)
            except TooLarge:
                return self._render.error(request, "That was far too much text.", 413)
            except (TimeoutError, Disconnected):
                return self._render.error(request, "The form took too long to arrive.", 408)
            except StoreUnavailable as failure:
                self._events.emit(
                    RequestFailed(path=request.scope["path"], kind=f"store: {failure}")
                )
                return self._render.error(request, UNAVAILABLE, 503)
            except Exception as failure:  # noqa: BLE001 -- the last line: nothing foreign leaves
                kind = type(failure).__name__
                self._events.emit(RequestFailed(path=request.scope["path"], kind=kind))
                return self._render.error(request, "Something went wrong on our side.", 500)

        return guarded

    async def _begin(self, request: Request) -> Response:
        # Raw: the framework's URL object raises over a query that is no UTF-8.
        encoded: bytes = request.scope["query_string"]
        if request.method == "POST":
            encoded = await read_body(request.receive)
        return self._show(
            request, await self._authorize.begin(encoded, await self._door.session(request))
        )

    async def _login(self, request: Request) -> Response:
        now = self._clock.now()
        form = await self._door.own_form(request)
        interaction = form.required("interaction", str)
        # Before the password: a page that was open for too long must not begin a session that the
        # browser never hears of, and end the one that it has.
        asked = self._authorize.interactions.open(interaction, now=now).request
        try:
            cookie, session = await self._door.enter(
                request, form, client_id=asked.client_id, now=now
            )
        except NotEntered as refusal:
            return self._render.login_again(
                request, interaction, refusal.username, refusal.words, asked, status=refusal.status
            )
        outcome = await self._authorize.after_login(interaction, session)
        return self._render.with_session(self._show(request, outcome), cookie)

    async def _consent(self, request: Request) -> Response:
        form = await self._door.own_form(request)
        outcome = await self._authorize.after_consent(
            form.required("interaction", str),
            await self._door.session(request),
            agreed=form.optional("decision", str) == "allow",
        )
        return self._show(request, outcome)

    async def _begin_logout(self, request: Request) -> Response:
        # Raw: the framework's URL object raises over a query that is no UTF-8.
        encoded: bytes = request.scope["query_string"]
        if request.method == "POST":
            encoded = await read_body(request.receive)
        cookie = read_cookie(request.headers.raw, SESSION)
        return self._show_logout(request, await self._end_session.begin(encoded, cookie))

    async def _logout(self, request: Request) -> Response:
        form = await self._door.own_form(request)
        if form.optional("decision", str) != "sign-out":
            return self._render.stayed(request)
        query = form.optional("query", str) or ""
        cookie = read_cookie(request.headers.raw, SESSION)
        outcome = await self._end_session.begin(query, cookie, confirmed=True)
        return self._show_logout(request, outcome)

    async def _static(self, request: Request) -> Response:
        return self._render.static(request)

    async def _front(self, request: Request) -> Response:
        return self._render.front(request)

    async def _nothing(self, request: Request) -> Response:
        return self._render.error(request, "There is no page here.", 404)

    def _show(self, request: Request, outcome: Outcome) -> Response:
        match outcome:
            case Redirect(url):
                return self._render.redirect(url)
            case PostBack():
                return self._render.post_back(request, outcome)
            case AskLogin():
                return self._render.login(request, outcome)
            case AskConsent():
                return self._render.consent(request, outcome)
            case _:
                return self._render.error(request, outcome.description, outcome.status)

    def _show_logout(self, request: Request, outcome: LogoutOutcome) -> Response:
        match outcome:
            case Redirect(url):
                return self._render.without_session(self._render.redirect(url))
            case AskLogout():
                return self._render.logout(request, outcome)
            case SignedOut():
                return self._render.without_session(self._render.signed_out(request))
            case _:
                return self._render.error(request, outcome.description, outcome.status)


FOREIGN = "This form did not come from our page, or your browser keeps no cookies for us."
LOST = "This page was open for too long. Go back to the application and begin again."
UNAVAILABLE = "We cannot do this right now. Try again in a moment; nothing was lost."
