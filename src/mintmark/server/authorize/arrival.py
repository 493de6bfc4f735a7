"""How a request comes: in the open, signed by its client, or by the name of one that was pushed."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec

from mintmark.fetch import Fetcher, FetchError
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import MAX_PARAMETERS, Form
from mintmark.protocol.request_object import LONGEST_LIFETIME, check_request_object
from mintmark.secret import Secret
from mintmark.server.clients import Client
from mintmark.server.config import ServerConfig
from mintmark.server.sealing import Sealer, Unsealable
from mintmark.server.waiting import PushedRequestRecord, PushedRequestStore

__all__ = ["Arrival", "Arrivals", "Once"]

URN: Final = "urn:ietf:params:oauth:request_uri:"
LABEL: Final = "pushed request"


@dataclass(frozen=True, slots=True)
class Once:
    """What a request may be answered for a single time, and until when that is remembered."""

    digest: bytes
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The parameters that count, and nothing of what stood beside them."""

    form: Form
    signed: bool = False
    pushed: bool = False
    once: Once | None = None


class _Kept(msgspec.Struct):
    query: str
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Unfolds requests, and keeps those that were pushed."""

    config: ServerConfig
    pushed: PushedRequestStore
    sealer: Sealer
    fetcher: Fetcher

    async def unfold(self, form: Form, client: Client, *, now: datetime) -> Arrival:
        """The request that a browser brought.

        Raises:
            OAuthError: INVALID_REQUEST_URI, INVALID_REQUEST_OBJECT, INVALID_REQUEST.
        """
        name = form.optional("request_uri", str)
        if name is not None and name.startswith(URN):
            return await self._named(name, client, now)
        token = form.optional("request", Secret)
        if name is not None:
            if token is not None:
                raise OAuthError(ErrorCode.INVALID_REQUEST, "request and request_uri exclude")
            token = await self._fetched(name, client)
        if token is None:
            return Arrival(form=form)
        return self.signed(token, client, now=now)

    def signed(self, token: Secret, client: Client, *, now: datetime) -> Arrival:
        """What a request object says. Raises `OAuthError(INVALID_REQUEST_OBJECT)`."""
        if client.keys is None:
            raise _bad_object("the client has no keys")
        try:
            pairs = check_request_object(
                token,
                client_id=client.client_id,
                issuer=self.config.issuer,
                keys=client.keys,
                now=now.timestamp(),
            )
            jti = decode_object(parse(token.reveal()).payload).get("jti")
        except JoseError as refusal:
            raise _bad_object(refusal.reason) from None
        if len(pairs) > MAX_PARAMETERS:
            raise _bad_object("too many parameters")
        # Through the form's own rules: nothing repeats here either. RFC 9101 §6.3: what stood
        # beside the object counts for nothing.
        inside = Form.parse(urlencode(pairs))
        if jti is not None and (not isinstance(jti, str) or not 0 < len(jti) <= 255):
            raise _bad_object("jti is no name")
        # Without a `jti` the object itself is its name.
        text = jti if jti is not None else token.reveal()
        named = msgspec.json.encode(["request object", client.client_id, text])
        ends = now + LONGEST_LIFETIME + timedelta(minutes=1) + self.config.interaction_lifetime
        once = Once(hashlib.sha256(named).digest(), ends)
        return Arrival(form=inside, signed=True, once=once)

    async def keep(
        self, parameters: list[tuple[str, str]], client: Client, *, signed: bool, now: datetime
    ) -> str:
        """Keep a request that was judged; the name under which it can be asked for."""
        handle = Secret.generate()
        digest = handle.digest()
        content = msgspec.json.encode(_Kept(urlencode(parameters), signed))
        record = PushedRequestRecord(
            digest=digest,
            client_id=client.client_id,
            sealed=self.sealer.seal(LABEL, content, digest),
            expires=now + self.config.pushed_request_lifetime,
        )
        await self.pushed.add(record)
        return URN + handle.reveal()

    async def _named(self, name: str, client: Client, now: datetime) -> Arrival:
        digest = Secret(name.removeprefix(URN)).digest()
        record = await self.pushed.find(digest, now=now)
        # RFC 9126 §4: it is its client's alone. One answer, whichever of these it is.
        if record is None or record.client_id != client.client_id:
            raise OAuthError(
                ErrorCode.INVALID_REQUEST_URI,
                "this sign-in has expired or was answered already; begin again at the application",
            )
        try:
            kept = msgspec.json.decode(self.sealer.open(LABEL, record.sealed, digest), type=_Kept)
        except (Unsealable, msgspec.MsgspecError):
            raise OAuthError(ErrorCode.INVALID_REQUEST_URI, "begin again") from None
        ends = record.expires + self.config.interaction_lifetime + timedelta(minutes=1)
        return Arrival(
            form=Form.parse(kept.query), signed=kept.signed, pushed=True, once=Once(digest, ends)
        )

    async def _fetched(self, uri: str, client: Client) -> Secret:
        # OIDC Core §6.2: nothing is fetched but what its client registered, letter by letter.
        if uri not in client.request_uris:
            raise OAuthError(ErrorCode.REQUEST_URI_NOT_SUPPORTED, "this address is not registered")
        try:
            fetched = await asyncio.to_thread(self.fetcher.get, uri)
            text = fetched.body.decode("ascii").strip()
        except (FetchError, UnicodeDecodeError):
            text = ""
        if not text or fetched.status != 200:
            raise OAuthError(ErrorCode.INVALID_REQUEST_URI, "the request could not be fetched")
        return Secret(text)


def _bad_object(reason: str) -> OAuthError:
    return OAuthError(
        ErrorCode.INVALID_REQUEST_OBJECT, "the request object is not valid", reason=reason
    )
