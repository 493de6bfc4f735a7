"""Who is in front of the page: the session, the form that is ours, the password."""

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.pages.cookies import BROWSER, SESSION
from mintmark.pages.form_guard import FormGuard
from mintmark.protocol.cookie import read_cookie
from mintmark.protocol.form import Form
from mintmark.secret import Secret
from mintmark.server.accounts import Accounts, PasswordRefused
from mintmark.server.asgi import client_address, read_body
from mintmark.server.events import PersonRefused, PersonSignedIn
from mintmark.server.sessions import Sessions
from mintmark.server.stores import SessionRecord
from mintmark.server.throttle import TooManyAttempts

__all__ = ["Door", "NotEntered"]

WRONG = "That name and password do not go together."
BUSY = "Too many attempts. Wait a few minutes, then try again."


class NotEntered(Exception):
    """The words for the person, the status, and the name that was typed."""

    def __init__(self, words: str, status: int, username: str) -> None:
        super().__init__(words)
        self.words = words
        self.status = status
        self.username = username


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What every page needs that somebody signs in on."""

    accounts: Accounts
    sessions: Sessions
    guard: FormGuard
    own_origin: str
    clock: Clock
    events: Events

    async def session(self, request: Request) -> SessionRecord | None:
        cookie = read_cookie(request.headers.raw, SESSION)
        return await self.sessions.find(cookie, now=self.clock.now())

    async def person(self, request: Request) -> SessionRecord | None:
        """The same, unless the account is gone or disabled."""
        session = await self.session(request)
        if session is None or await self.accounts.find(session.subject) is None:
            return None
        return session

    async def own_form(self, request: Request) -> Form:
        """A form of ours, sent by the browser that we gave it to."""
        form = Form.parse(await read_body(request.receive))
        self.guard.require_own(
            read_cookie(request.headers.raw, BROWSER),
            form.optional("guard", Secret),
            origin=request.headers.get("origin"),
            own_origin=self.own_origin,
            fetch_site=request.headers.get("sec-fetch-site"),
        )
        return form

    async def enter(
        self, request: Request, form: Form, *, client_id: str, now: datetime
    ) -> tuple[Secret, SessionRecord]:
        """A session for whoever gave the right password. Raises `NotEntered`."""
        username = form.optional("username", str) or ""
        password = form.optional("password", Secret) or Secret("")
        address = client_address(request.scope)
        try:
            account = await self.accounts.require_password(
                username, password, client_address=address, now=now
            )
        except PasswordRefused as refusal:
            self.events.emit(PersonRefused(reason=refusal.reason, client_address=address))
            raise NotEntered(WRONG, 200, username) from None
        except TooManyAttempts:
            self.events.emit(PersonRefused(reason="throttled", client_address=address))
            raise NotEntered(BUSY, 429, username) from None
        cookie = read_cookie(request.headers.raw, SESSION)
        entered = await self.sessions.begin(account, cookie, now=now)
        self.events.emit(PersonSignedIn(subject=account.subject, client_id=client_id))
        return entered
