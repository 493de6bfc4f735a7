"""The web application: Starlette with a `WebLogin`. The browser never sees a token."""

import base64
from datetime import datetime
from typing import Any

import httpx2
import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    HeldToken,
    InsufficientScope,
    TokenRefused,
    TokenRejected,
)
from mintmark.clock import Clock, SystemClock
from mintmark.demo.parts import Demo
from mintmark.webapp import WebLogin

__all__ = ["make_web"]

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self' {server}; frame-ancestors 'none'; base-uri 'none'"
)
TROUBLE = (AuthorityUnavailable, TokenRefused, TokenRejected, InsufficientScope, httpx2.HTTPError)


class Pages:
    """Every page, and what it needs."""

    def __init__(
        self,
        demo: Demo,
        login: WebLogin,
        clients: dict[str, Client],
        http: httpx2.AsyncClient,
        clock: Clock,
    ) -> None:
        self._demo = demo
        self._login = login
        self._clients = clients
        self._api = demo.addresses.url("api")
        self._photos = clients["web"].app_token(scope="photos.read", resource=self._api)
        self._http = http
        self._clock = clock
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("mintmark.demo"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )

    async def home(self, request: Request) -> Response:
        return self._page(request, "home.html")

    async def photo(self, request: Request) -> Response:
        await self._login.required(request)
        self._demo.traffic.count("web-api")
        try:
            answer = await self._http.get(f"{self._api}/photo", auth=self._photos.auth())
            picture = base64.b64encode(answer.raise_for_status().content).decode("ascii")
        except TROUBLE as trouble:
            return self._trouble(request, trouble)
        return self._page(request, "photo.html", picture=picture)

    async def profile(self, request: Request) -> Response:
        user = await self._login.required(request)
        token = self._login.token(request, resource=self._api, scope="profile.read")
        self._demo.traffic.count("web-api")
        try:
            answer = await self._http.get(f"{self._api}/profile", auth=token.auth())
            profile = answer.raise_for_status().json()
        except TROUBLE as trouble:
            return self._trouble(request, trouble)
        return self._page(request, "profile.html", person=user, profile=profile)

    async def tokens(self, request: Request) -> Response:
        await self._login.required(request)
        return self._page(request, "tokens.html", **self._state())

    async def live(self, request: Request) -> Response:
        await self._login.required(request)
        return JSONResponse(self._state(), headers={"cache-control": "no-store"})

    def _state(self) -> dict[str, Any]:
        now = self._clock.now()
        held = [
            _shown(holder, token, now)
            for holder, client in self._clients.items()
            for token in client.tokens.snapshot()
        ]
        arrows = ("browser-web", "web-server", "web-api", "api-server", "api-downstream")
        return {"tokens": held, "calls": {name: self._demo.traffic.calls[name] for name in arrows}}

    def _trouble(self, request: Request, trouble: Exception) -> Response:
        kind = type(trouble).__name__
        return self._page(request, "trouble.html", status=502, trouble=kind)

    def _page(self, request: Request, template: str, status: int = 200, **content: Any) -> Response:
        self._demo.traffic.count("browser-web")
        user = self._login.user(request)
        text = self._templates.get_template(template).render(
            user=user,
            here=request.url.path,
            cross_site=self._login.form_field(request),
            server=self._demo.addresses.url("server"),
            **content,
        )
        headers = {
            "cache-control": "no-store",
            "content-security-policy": POLICY.format(server=self._demo.addresses.url("server")),
            "referrer-policy": "same-origin",
            "x-content-type-options": "nosniff",
        }
        return Response(text, status, headers, "text/html; charset=utf-8")


def _shown(holder: str, token: HeldToken, now: datetime) -> dict[str, Any]:
    lifetime = (token.expires_at - token.received).total_seconds()
    left = max(0.0, (token.expires_at - now).total_seconds())
    return {
        "holder": holder,
        "kind": token.kind,
        "fingerprint": token.fingerprint,
        "audience": " ".join(sorted(token.resource)) or "the token server",
        "scope": " ".join(sorted(token.scope)) or "everything granted",
        "age": int((now - token.received).total_seconds()),
        "left": int(left),
        "share": round(100 * left / lifetime) if lifetime else 0,
        "asked": token.asked,
        "from_cache": token.from_cache,
        "fetched": token.fetched,
        "renewed": token.renewed,
    }


def make_web(
    demo: Demo, login: WebLogin, clients: dict[str, Client], http: httpx2.AsyncClient
) -> Starlette:
    pages = Pages(demo, login, clients, http, SystemClock())
    app = Starlette(
        routes=[
            Route("/", pages.home),
            Route("/photo", pages.photo),
            Route("/profile", pages.profile),
            Route("/tokens", pages.tokens),
            Route("/tokens/live", pages.live),
            Mount("/static", StaticFiles(packages=[("mintmark.demo", "static")])),
        ]
    )
    login.install(app)
    return app
