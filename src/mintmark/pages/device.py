"""The page where somebody lets a device in (RFC 8628 §3.3)."""

from typing import final

from starlette.requests import Request
from starlette.responses import Response

from mintmark.pages.door import Door, NotEntered
from mintmark.pages.render import Renderer
from mintmark.protocol.form import Form
from mintmark.server.asgi import client_address
from mintmark.server.devices import Devices, UnknownUserCode
from mintmark.server.stores import SessionRecord
from mintmark.server.throttle import TooManyAttempts

__all__ = ["DevicePages"]

NOBODY = "No device waits under this code. Compare it with the one on your device."
BUSY = "Too many codes. Wait ten minutes, then try again."
DECIDED = "This was decided already, or it took too long. Begin again on your device."


@final
class DevicePages:
    """Sign in, type the code, look who asks, decide."""

    def __init__(self, door: Door, render: Renderer, devices: Devices) -> None:
        self._door = door
        self._render = render
        self._devices = devices

    async def begin(self, request: Request) -> Response:
        """Nothing is looked up yet: an address that somebody sent along decides nothing."""
        form = Form.parse(request.scope["query_string"])
        typed = (form.optional("user_code", str) or "")[:32]
        if await self._door.person(request) is None:
            return self._render.device_login(request, typed)
        return self._render.device_code(request, typed)

    async def sign_in(self, request: Request) -> Response:
        form = await self._door.own_form(request)
        typed = (form.optional("interaction", str) or "")[:32]
        try:
            cookie, _ = await self._door.enter(
                request, form, client_id="", now=self._door.clock.now()
            )
        except NotEntered as refusal:
            return self._render.device_login(
                request, typed, refusal.username, refusal.words, status=refusal.status
            )
        return self._render.with_session(self._render.device_code(request, typed), cookie)

    async def look(self, request: Request) -> Response:
        form = await self._door.own_form(request)
        typed = (form.optional("user_code", str) or "")[:32]
        session = await self._door.person(request)
        if session is None:
            return self._render.device_login(request, typed)
        try:
            ask = await self._devices.find(
                typed,
                session,
                client_address=client_address(request.scope),
                now=self._door.clock.now(),
            )
        except UnknownUserCode:
            return self._render.device_code(request, typed, NOBODY)
        except TooManyAttempts:
            return self._render.device_code(request, typed, BUSY, status=429)
        return self._render.device_confirm(request, ask, await self._name(session))

    async def decide(self, request: Request) -> Response:
        form = await self._door.own_form(request)
        session = await self._door.person(request)
        if session is None:
            return self._render.device_login(request, "")
        agreed = form.optional("decision", str) == "allow"
        try:
            await self._devices.decide(
                form.required("interaction", str),
                session,
                agreed=agreed,
                now=self._door.clock.now(),
            )
        except UnknownUserCode:
            return self._render.error(request, DECIDED, 400)
        return self._render.device_done(request, allowed=agreed)

    async def _name(self, session: SessionRecord) -> str:
        account = await self._door.accounts.find(session.subject)
        return account.claims.get("name", account.username) if account else ""
