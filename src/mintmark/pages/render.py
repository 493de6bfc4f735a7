"""Templates to responses, with the headers that go with each."""

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, final
from urllib.parse import urlsplit

import jinja2
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mintmark.pages.cookies import BROWSER, SESSION
from mintmark.pages.form_guard import FormGuard
from mintmark.pages.headers import security_headers
from mintmark.protocol.authorization import AuthorizationRequest
from mintmark.protocol.cookie import read_cookie, set_cookie
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret
from mintmark.server.authorize.outcome import AskConsent, AskLogin, PostBack, origin_of
from mintmark.server.clients import ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.devices import AskDevice
from mintmark.server.end_session import AskLogout

__all__ = ["Renderer"]

STYLE = "style.css"
SCRIPT = 'document.getElementById("answer").submit()'
SCRIPT_HASH = f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
IMPLIED = frozenset({"openid"})  # everybody who signs in agrees to being known


@final
class Renderer:
    """Makes every page of the token server."""

    def __init__(self, config: ServerConfig, clients: ClientRegistry, guard: FormGuard) -> None:
        self._config = config
        self._clients = clients
        self._guard = guard
        parts = urlsplit(config.issuer)
        self.own_origin = f"{parts.scheme}://{parts.netloc}"
        self._https = parts.scheme == "https"
        folder = resources.files("mintmark.pages")
        self._style = (folder / "static" / STYLE).read_bytes()
        # The name changes with the content, so that it can be kept for ever.
        self._style_name = f"{hashlib.sha256(self._style).hexdigest()[:16]}.css"
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("mintmark.pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def login(self, request: Request, ask: AskLogin) -> Response:
        return self._page(
            request,
            "login.html",
            form_action=ask.redirect_origin,
            action="/login",
            client=ask.client.name,
            interaction=ask.interaction,
            username=ask.login_hint,
            problem="",
        )

    def login_again(
        self,
        request: Request,
        interaction: str,
        username: str,
        problem: str,
        asked: AuthorizationRequest,
        *,
        status: int = 200,
    ) -> Response:
        client = self._clients.find(asked.client_id)
        return self._page(
            request,
            "login.html",
            status=status,
            form_action=origin_of(asked.redirect_uri),
            action="/login",
            client=client.name if client else asked.client_id,
            interaction=interaction,
            username=username[:200],
            problem=problem,
        )

    def consent(self, request: Request, ask: AskConsent) -> Response:
        return self._page(
            request,
            "consent.html",
            form_action=ask.redirect_origin,
            client=ask.client.name,
            interaction=ask.interaction,
            person=ask.username,
            wishes=self._described(ask.scope),
            details=[self._detail(one) for one in ask.details],
            destination=ask.redirect_origin,
        )

    def post_back(self, request: Request, answer: PostBack) -> Response:
        """A form that sends itself, and has a button where scripts do not run."""
        origin = origin_of(answer.redirect_uri)
        return self._page(
            request,
            "form_post.html",
            form_action=origin,
            script=SCRIPT_HASH,
            destination=origin,
            address=answer.redirect_uri,
            parameters=answer.parameters,
            script_text=SCRIPT,
        )

    def device_login(
        self,
        request: Request,
        user_code: str,
        username: str = "",
        problem: str = "",
        *,
        status: int = 200,
    ) -> Response:
        return self._page(
            request,
            "login.html",
            status=status,
            action="/device/sign-in",
            client="your device",
            interaction=user_code,
            username=username[:200],
            problem=problem,
        )

    def device_code(
        self, request: Request, user_code: str, problem: str = "", *, status: int = 200
    ) -> Response:
        return self._page(
            request, "device_code.html", status=status, user_code=user_code, problem=problem
        )

    def device_confirm(self, request: Request, ask: AskDevice, person: str) -> Response:
        return self._page(
            request,
            "device_confirm.html",
            client=ask.client.name,
            interaction=ask.interaction,
            person=person,
            wishes=self._described(ask.scope),
            user_code=ask.user_code,
        )

    def device_done(self, request: Request, *, allowed: bool) -> Response:
        title, text = (
            (
                "Connected",
                "Your device goes on by itself in a few seconds. You can close this page.",
            )
            if allowed
            else ("Refused", "The device was not let in.")
        )
        return self._page(request, "message.html", title=title, text=text, status=200)

    def logout(self, request: Request, ask: AskLogout) -> Response:
        uris = ask.client.post_logout_redirect_uris if ask.client else frozenset[str]()
        return self._page(
            request,
            "logout.html",
            form_action=self._redirect_origins(uris),
            client=ask.client.name if ask.client else "",
            query=ask.query,
        )

    def signed_out(self, request: Request) -> Response:
        return self._page(
            request, "message.html", title="Signed out", text="You are signed out here.", status=200
        )

    def stayed(self, request: Request) -> Response:
        return self._page(
            request,
            "message.html",
            title="Still signed in",
            text="Nothing was changed.",
            status=200,
        )

    def front(self, request: Request) -> Response:
        text = "This is where people sign in. Begin at the application that you want to use."
        return self._page(request, "message.html", title="Mintmark", text=text, status=200)

    def error(self, request: Request, description: str, status: int) -> Response:
        title = "Not found" if status == 404 else "This did not work"
        return self._page(request, "message.html", title=title, text=description, status=status)

    def redirect(self, url: str) -> Response:
        headers = security_headers(https=self._https)
        # 303: the browser goes on with a GET and does not send a password along.
        return Response(status_code=303, headers={**headers, "location": url})

    def static(self, request: Request) -> Response:
        if request.path_params["name"] != self._style_name:
            return self.error(request, "There is no page here.", 404)
        headers = {
            "cache-control": "public, max-age=31536000, immutable",
            "x-content-type-options": "nosniff",
        }
        return Response(self._style, media_type="text/css", headers=headers)

    def with_session(self, response: Response, cookie: Secret) -> Response:
        response.headers.append("set-cookie", set_cookie(SESSION, cookie))
        return response

    def without_session(self, response: Response) -> Response:
        response.headers.append("set-cookie", set_cookie(SESSION, None))
        return response

    def _page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        form_action: str = "",
        script: str = "",
        **content: Any,
    ) -> Response:
        known = read_cookie(request.headers.raw, BROWSER)
        browser = known or Secret.generate()
        text = self._templates.get_template(template).render(
            base=self._config.issuer.rstrip("/"),
            style=f"{self._config.issuer.rstrip('/')}/static/{self._style_name}",
            guard=self._guard.field(browser).reveal(),
            **content,
        )
        headers = security_headers(https=self._https, form_action=form_action, script=script)
        response = Response(text, status, headers, "text/html; charset=utf-8")
        if known is None:
            response.headers.append("set-cookie", set_cookie(BROWSER, browser))
        return response

    def _detail(self, detail: Mapping[str, Any]) -> dict[str, Any]:
        """What a detail says, member by member: nothing of it is agreed to unseen."""
        members = [(name, _text(value)) for name, value in detail.items() if name != "type"]
        title = self._clients.detail_descriptions.get(detail["type"], detail["type"])
        return {"title": title, "members": members}

    def _described(self, scope: Scope) -> list[str]:
        descriptions = self._clients.scope_descriptions
        return [descriptions[value] for value in sorted(scope - IMPLIED)]

    def _redirect_origins(self, uris: frozenset[str]) -> str:
        return " ".join(sorted({origin_of(uri) for uri in uris}))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
