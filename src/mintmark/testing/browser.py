"""A browser without a window: cookies, redirects, links and forms over real HTTP."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, final
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2

__all__ = ["HeadlessBrowser", "Page"]

MAX_REDIRECTS = 20
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(slots=True)
class FormElement:
    """A form: where it goes, its fields, and the buttons that would submit it."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """What the browser shows after following every redirect."""

    url: str
    status: int
    headers: httpx2.Headers
    text: str
    forms: tuple[FormElement, ...]
    redirects: tuple[str, ...]  # every address on the way here


@final
class HeadlessBrowser:
    """Keeps cookies as a browser does, http on loopback counting as secure.

    Args:
        trust: the certificates of a test; the machine's own unless given.
    """

    def __init__(self, *, trust: ssl.SSLContext | None = None) -> None:
        self.cookies: dict[tuple[str, str], str] = {}
        self._client = httpx2.Client(
            verify=trust or True, trust_env=False, timeout=30, follow_redirects=False
        )

    def open(self, url: str, headers: Mapping[str, str] | None = None) -> Page:
        """Go to an address, as if it was typed."""
        return self._go("GET", url, None, {"sec-fetch-site": "none", **(headers or {})})

    def submit(
        self,
        page: Page,
        values: Mapping[str, str] | None = None,
        *,
        button: str = "",
        form: int = 0,
    ) -> Page:
        """Fill a form of this page in and press its button (by value; the first unless named)."""
        element = page.forms[form]
        sent = {**element.fields, **(values or {})}
        for name, value in element.buttons:
            if name and (not button or value == button):
                sent[name] = value
                break
        action = urljoin(page.url, element.action)
        headers = {"sec-fetch-site": "same-origin", "origin": _origin(page.url)}
        if element.method == "post":
            return self._go("POST", action, sent, headers)
        return self._go("GET", f"{action}?{urlencode(sent)}", None, headers)

    def cookie(self, name: str, host: str = "localhost") -> str | None:
        return self.cookies.get((host, name))

    def close(self) -> None:
        self._client.close()

    def _go(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Page:
        visited: list[str] = []
        for _ in range(MAX_REDIRECTS):
            response = self._send(method, url, form, headers)
            if response.status_code not in REDIRECTS or "location" not in response.headers:
                parser = _Forms()
                parser.feed(response.text)
                return Page(
                    url,
                    response.status_code,
                    response.headers,
                    response.text,
                    tuple(parser.forms),
                    tuple(visited),
                )
            visited.append(url)
            url = urljoin(url, response.headers["location"])
            if response.status_code not in {307, 308}:
                method, form = "GET", None
        raise RuntimeError("redirected in a circle")

    def _send(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> httpx2.Response:
        host = urlsplit(url).hostname or ""
        cookies = "; ".join(f"{n}={v}" for (h, n), v in self.cookies.items() if h == host)
        sent = {"accept": "text/html", **headers, **({"cookie": cookies} if cookies else {})}
        response = self._client.request(method, url, data=form, headers=sent)
        self._client.cookies.clear()
        for field_value in response.headers.get_list("set-cookie"):
            self._keep(host, field_value)
        return response

    def _keep(self, host: str, set_cookie: str) -> None:
        pair, *attributes = [part.strip() for part in set_cookie.split(";")]
        name, _, value = pair.partition("=")
        if "max-age=0" in {attribute.lower() for attribute in attributes}:
            self.cookies.pop((host, name), None)
        else:
            self.cookies[(host, name)] = value


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[FormElement] = []
        self._open: FormElement | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at: dict[str, Any] = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = FormElement(at.get("action", ""), at.get("method", "get").lower())
            self.forms.append(self._open)
        elif self._open is None:
            return
        elif tag == "input" and at.get("name"):
            self._open.fields[at["name"]] = at.get("value", "")
        elif tag == "button":
            self._open.buttons.append((at.get("name", ""), at.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
