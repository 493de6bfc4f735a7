"""FastAPI's documentation pages on a developer's machine, with sign-in by code and PKCE."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from mintmark.api.policy import PUBLIC, Policy

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mintmark.api.gate import Gate

__all__ = ["DevelopmentDocs"]

SCRIPT: Final = "swagger-ui-bundle.js"
STYLE: Final = "swagger-ui.css"


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
    """A folder with Swagger UI's `swagger-ui-bundle.js` and `swagger-ui.css`. Without it FastAPI's
    page loads them from a network of other people's servers, and is empty where there is none."""

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
            # RFC 8707 §2: without it the issuer may give a token that is for somebody else.
            "additionalQueryStringParams": {"resource": gate.resource},
        }
        paths = [app.docs_url, app.openapi_url, app.swagger_ui_oauth2_redirect_url]
        rules: dict[str, Policy] = {path: PUBLIC for path in paths if path is not None}
        if self.assets is not None and app.docs_url is not None:
            rules |= self._serve(app, app.docs_url, self.assets)
        return rules

    def _serve(self, app: "FastAPI", page: str, assets: Path) -> Mapping[str, Policy]:
        from fastapi.openapi.docs import get_swagger_ui_html
        from starlette.requests import Request
        from starlette.responses import FileResponse, HTMLResponse

        async def page_with_our_assets(request: Request) -> HTMLResponse:
            root = request.scope.get("root_path", "").rstrip("/")
            redirect = app.swagger_ui_oauth2_redirect_url
            return get_swagger_ui_html(
                openapi_url=f"{root}{app.openapi_url}",
                title=app.title,
                oauth2_redirect_url=f"{root}{redirect}" if redirect else None,
                init_oauth=app.swagger_ui_init_oauth,
                swagger_ui_parameters=app.swagger_ui_parameters,
                swagger_js_url=f"{root}{page}/{SCRIPT}",
                swagger_css_url=f"{root}{page}/{STYLE}",
                swagger_favicon_url="data:,",
            )

        def file(name: str) -> Any:
            async def one(_: Request) -> FileResponse:
                return FileResponse(assets / name)

            return one

        # The first route of a path counts, and FastAPI's own is there already.
        app.router.routes[:] = [
            route for route in app.router.routes if getattr(route, "path", None) != page
        ]
        app.add_route(page, page_with_our_assets, include_in_schema=False)
        for name in (SCRIPT, STYLE):
            app.add_route(f"{page}/{name}", file(name), include_in_schema=False)
        return {f"{page}/{name}": PUBLIC for name in (SCRIPT, STYLE)}
