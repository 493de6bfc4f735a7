"""FastAPI's documentation pages on a developer's machine, with sign-in by code and PKCE."""

import inspect
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from mintmark.api.key_source import KeysMissing
from mintmark.api.policy import PUBLIC, Policy

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

    from mintmark.api.gate import Gate

__all__ = ["DevelopmentDocs"]

SCRIPT: Final = "swagger-ui-bundle.js"
STYLE: Final = "swagger-ui.css"

_STATIC: Final = Path(__file__).parent / "static"
_CHANNEL: Final = "mintmark-docs"
# What may stand in a policy: anything else could end a source, or the directive.
_SOURCE: Final = re.compile(r"https?://[A-Za-z0-9.\-]+(:[0-9]+)?(/[A-Za-z0-9\-._~/%]*)?")

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{style}" nonce="{nonce}">
</head>
<body>
<div id="swagger-ui"></div>
<script type="application/json" id="settings">{settings}</script>
<script src="{script}" nonce="{nonce}"></script>
<script nonce="{nonce}">{start}</script>
</body>
</html>
"""

_RETURN: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Signed in</title>
<link rel="icon" href="data:,">
</head>
<body data-channel="{channel}">
<p id="said">Go back to the documentation: nothing there took this answer yet.</p>
<script nonce="{nonce}">{start}</script>
</body>
</html>
"""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DevelopmentDocs:
    """Opens the documentation pages to everybody who can reach this machine.

    Give it on a developer's machine alone: in production the pages stay as closed as every route
    without a policy.
    """

    client_id: str
    """A public client of the issuer. Its redirect address is this API's own
    `/docs/oauth2-redirect`."""

    scopes: tuple[str, ...] = ()
    """What is ticked when the sign-in opens."""

    assets: Path | None = None
    """A folder with Swagger UI's `swagger-ui-bundle.js` and `swagger-ui.css`. Without it the page
    loads them from a network of other people's servers, and is empty where there is none."""

    def __post_init__(self) -> None:
        if not self.client_id:
            raise ValueError("client_id: a public client of the issuer is needed")
        if self.assets is not None:
            for name in (SCRIPT, STYLE):
                if not (self.assets / name).is_file():
                    raise ValueError(f"assets: {name} is not in that folder")

    def open(self, gate: "Gate", app: "FastAPI") -> Mapping[str, Policy]:
        """Sets the pages up; gives the rules that open them."""
        app.swagger_ui_init_oauth = {
            "clientId": self.client_id,
            "usePkceWithAuthorizationCodeGrant": True,
            "scopes": " ".join(self.scopes),
        }
        opened = [path for path in (app.docs_url, app.openapi_url) if path is not None]
        if app.docs_url is not None:
            page = _Page(gate, app, app.docs_url, own_assets=self.assets is not None)
            _replace(app, app.docs_url, page)
            if app.swagger_ui_oauth2_redirect_url is not None:
                _replace(app, app.swagger_ui_oauth2_redirect_url, _came_back)
                opened.append(app.swagger_ui_oauth2_redirect_url)
            if self.assets is not None:
                for name in (SCRIPT, STYLE):
                    _replace(app, f"{app.docs_url}/{name}", _file(self.assets / name))
                    opened.append(f"{app.docs_url}/{name}")
        return dict.fromkeys(opened, PUBLIC)


@final
class _Page:
    """Swagger UI, started by our own script instead of one that FastAPI writes into its page."""

    def __init__(self, gate: "Gate", app: "FastAPI", path: str, *, own_assets: bool) -> None:
        self._gate = gate
        self._app = app
        self._path = path
        self._own_assets = own_assets
        self._start = (_STATIC / "docs.js").read_text("utf-8")

    async def __call__(self, request: "Request") -> "Response":
        await self._know_issuers()
        root = request.scope.get("root_path", "").rstrip("/")
        script, style = self._assets(root)
        nonce = secrets.token_urlsafe(16)
        page = _PAGE.format(
            title=escape(self._app.title),
            style=escape(style),
            script=escape(script),
            nonce=nonce,
            settings=_in_html(self._settings(root)),
            start=self._start,
        )
        connect = " ".join(["'self'", *_addresses(self._app.openapi())])
        return _html(page, nonce, f"connect-src {connect}; ")

    async def _know_issuers(self) -> None:
        # Where to sign in is known once an issuer was asked. Who opens this page as the API starts
        # would find no way to sign in, and a policy that forbids it.
        now = self._gate.clock.timestamp()
        for entry in self._gate.admission.validator.issuers.entries():
            with suppress(KeysMissing):
                await entry.keys_at(now)

    def _assets(self, root: str) -> tuple[str, str]:
        if self._own_assets:
            return f"{root}{self._path}/{SCRIPT}", f"{root}{self._path}/{STYLE}"
        from fastapi.openapi.docs import get_swagger_ui_html

        defaults = inspect.signature(get_swagger_ui_html).parameters
        return defaults["swagger_js_url"].default, defaults["swagger_css_url"].default

    def _settings(self, root: str) -> dict[str, Any]:
        from fastapi.openapi.docs import swagger_ui_default_parameters

        app = self._app
        return {
            "url": f"{root}{app.openapi_url}",
            "redirect": f"{root}{app.swagger_ui_oauth2_redirect_url or ''}",
            "oauth": app.swagger_ui_init_oauth,
            # RFC 8707 §2: without it the issuer may give a token that is for somebody else.
            "authorize": {"resource": self._gate.resource},
            "channel": _CHANNEL,
            "parameters": {
                **swagger_ui_default_parameters,
                # Otherwise the document's address goes to somebody who would check it.
                "validatorUrl": None,
                **(app.swagger_ui_parameters or {}),
            },
        }


async def _came_back(_: "Request") -> "Response":
    """Where the issuer sends the browser with the code."""
    nonce = secrets.token_urlsafe(16)
    start = (_STATIC / "docs-return.js").read_text("utf-8")
    return _html(_RETURN.format(channel=_CHANNEL, nonce=nonce, start=start), nonce, "")


def _html(page: str, nonce: str, more: str) -> "Response":
    from starlette.responses import HTMLResponse

    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; {more}"
        "img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    )
    headers = {
        "cache-control": "no-store",
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return HTMLResponse(page, headers=headers)


def _addresses(document: Mapping[str, Any]) -> Iterator[str]:
    """Whom the page has to ask: issuers for their metadata and tokens, and where the API is."""
    asked = [server.get("url", "") for server in document.get("servers", [])]
    for scheme in document.get("components", {}).get("securitySchemes", {}).values():
        asked.append(scheme.get("openIdConnectUrl", ""))
        asked += [flow.get("tokenUrl", "") for flow in scheme.get("flows", {}).values()]
    for url in dict.fromkeys(asked):
        # A policy knows no queries; its sources match whatever query is asked for.
        source = url.partition("#")[0].partition("?")[0]
        if _SOURCE.fullmatch(source):
            yield source


def _in_html(value: Any) -> str:
    # A script element ends at the first `</script`, whatever is written around it.
    return json.dumps(value).replace("<", "\\u003c").replace("&", "\\u0026")


def _file(path: Path) -> Any:
    from starlette.responses import FileResponse

    async def one(_: "Request") -> FileResponse:
        return FileResponse(path)

    return one


def _replace(app: "FastAPI", path: str, endpoint: Any) -> None:
    # The first route of a path counts, and FastAPI's own is there already.
    app.router.routes[:] = [
        route for route in app.router.routes if getattr(route, "path", None) != path
    ]

    # Starlette takes what is no function for an application of its own.
    async def one(request: "Request") -> Any:
        return await endpoint(request)

    app.add_route(path, one, include_in_schema=False)
