"""A request of a browser, read; and the redirect that answers it."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.webapp.cross_site import CrossSite

__all__ = ["body_of", "form_field", "here", "is_navigation", "redirect"]

MAX_FORM = 20 * 1024
"""A signed or encrypted answer may have 16."""


def is_navigation(request: Request) -> bool:
    mode = request.headers.get("sec-fetch-mode")
    if mode is not None:
        return mode == "navigate"
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def here(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


async def body_of(request: Request) -> str:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise CrossSite("the form is too large")
    return body.decode("ascii", errors="replace")


async def form_field(request: Request, name: str) -> str | None:
    body = await body_of(request)
    try:
        return Form.parse(body).optional(name, str)
    except OAuthError:
        return None


def redirect(url: str, cookie: str | None) -> Response:
    response = RedirectResponse(url, 303, {"cache-control": "no-store"})
    response.headers["referrer-policy"] = "no-referrer"
    if cookie is not None:
        response.headers.append("set-cookie", cookie)
    return response
