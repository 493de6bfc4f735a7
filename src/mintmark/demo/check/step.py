"""What the steps share: a running demo, people in browsers, and requests to look at."""

import base64
from typing import Any, final
from urllib.parse import parse_qs, urlsplit

import httpx2

from mintmark.api import Gate, scope
from mintmark.clock import SystemClock
from mintmark.demo.parts import PASSWORD, PERSON
from mintmark.demo.running import Running
from mintmark.protocol.client_authentication import basic_header
from mintmark.secret import Secret
from mintmark.testing import HeadlessBrowser, Page

__all__ = ["StepFailed", "Walk", "require"]


class StepFailed(Exception):
    """What should have been so was not."""


def require(holds: object, otherwise: str) -> None:
    """Raises `StepFailed` with these words unless it holds."""
    if not holds:
        raise StepFailed(otherwise)


@final
class Walk:
    """One walk through one running demo."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.demo = running.demo
        self.url = running.demo.addresses.url
        self.http = httpx2.Client(trust_env=False, timeout=20)
        self._person: HeadlessBrowser | None = None
        self._browsers: list[HeadlessBrowser] = []

    def browser(self) -> HeadlessBrowser:
        """A new browser in which nobody is signed in."""
        self._browsers.append(HeadlessBrowser())
        return self._browsers[-1]

    def person(self) -> HeadlessBrowser:
        """A browser in which Alice is signed in; the same one every time."""
        if self._person is None:
            self._person = self.fresh_person()
        return self._person

    def fresh_person(self) -> HeadlessBrowser:
        """A new browser in which Alice signs in now."""
        browser = self.browser()
        page = self.sign_in(browser, browser.open(self.url("web") + "/login"))
        require(page.status == 200, f"signing in ended with {page.status}")
        return browser

    def sign_in(self, browser: HeadlessBrowser, page: Page) -> Page:
        """From the sign-in page through the consent, where it is asked for, and back."""
        page = browser.submit(page, {"username": PERSON, "password": PASSWORD})
        if page.forms and ("decision", "allow") in page.forms[0].buttons:
            page = browser.submit(page, button="allow")
        return page

    def token_request(
        self, client_id: str, secret_name: str, form: dict[str, str]
    ) -> httpx2.Response:
        """A request to the token endpoint in a client's name."""
        header = basic_header(client_id, Secret(self.demo.environment[secret_name]))
        return self.http.post(
            self.url("server") + "/token", data=form, headers={"authorization": header}
        )

    def app_token(self, scope_text: str, client_id: str = "other") -> str:
        """An application token of the demo's server."""
        form = {"grant_type": "client_credentials", "scope": scope_text}
        answer = self.token_request(client_id, f"{client_id.upper()}_SECRET", form)
        require(answer.status_code == 200, f"no token: {answer.status_code}")
        token: str = answer.json()["access_token"]
        return token

    def call(self, path: str, token: str | None, part: str = "api") -> httpx2.Response:
        """A call to an API."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return self.http.get(self.url(part) + path, headers=headers)

    def issued(self, client_id: str, grant_type: str) -> int:
        """How many token requests of this kind the server has answered."""
        return self.demo.traffic.calls[f"issued {client_id} {grant_type}"]

    def gate(self, **changes: Any) -> Gate:
        """A gate of its own over the demo's server, with a clock or issuer that a step chooses."""
        settings: dict[str, Any] = {
            "issuer": self.url("server"),
            "insecure_allow_http_on_loopback": True,
            "clock": SystemClock(),
        }
        return Gate(self.url("api"), **(settings | changes))

    def close(self) -> None:
        self.http.close()
        for browser in self._browsers:
            browser.close()


def query_of(url: str) -> dict[str, str]:
    """The query of an address, each parameter once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def flip(segment: str) -> str:
    """Another base64url segment of the same length: one bit of its first byte is turned."""
    octets = bytearray(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    octets[0] ^= 1
    return base64.urlsafe_b64encode(bytes(octets)).decode().rstrip("=")


READ = scope("photos.read")
