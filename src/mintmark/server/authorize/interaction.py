"""An authorization request while a person is being asked something."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import final
from urllib.parse import urlencode

import msgspec

from mintmark.jose.base64url import decode, encode
from mintmark.jose.errors import JoseError
from mintmark.protocol.authorization import AuthorizationRequest
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.server.authorize.arrival import Once
from mintmark.server.sealing import Sealer, Unsealable

__all__ = ["Interaction", "InteractionLost", "Interactions"]

LABEL = "interaction"
MAX_LENGTH = 16 * 1024


class InteractionLost(Exception):
    """The page was open for too long, or the address was changed: begin again at the client."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """The request, since when somebody is being asked, and who was asked to agree."""

    request: AuthorizationRequest
    began: datetime
    sid: str  # of the session that the consent page was made for; empty on a sign-in page
    subject: str = ""  # the one person who may be signed in; empty for anybody
    once: Once | None = None  # what is used up by the answer


class _Sealed(msgspec.Struct):
    query: str
    began: float
    sid: str
    subject: str
    once: bytes | None
    ends: float


@final
class Interactions:
    """Carries a request through pages, sealed, in the pages' own address.

    Nothing is stored, so two tabs cannot disturb each other and nobody can fill a table.
    """

    def __init__(self, sealer: Sealer, lifetime: timedelta) -> None:
        self._sealer = sealer
        self._lifetime = lifetime

    def seal(self, going: Interaction) -> str:
        """Raises `OAuthError(INVALID_REQUEST)` when it is too long to be carried."""
        once = going.once
        # Whom the hint names was read; it is too long to come along.
        request = replace(going.request, id_token_hint=None)
        content = _Sealed(
            urlencode(request.parameters()),
            going.began.timestamp(),
            going.sid,
            going.subject,
            once.digest if once else None,
            once.ends.timestamp() if once else 0.0,
        )
        sealed = encode(self._sealer.seal(LABEL, msgspec.json.encode(content), b""))
        # Said now, at the client: `open` would refuse it, after the person typed their password.
        if len(sealed) > MAX_LENGTH:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "the request is too long")
        return sealed

    def open(self, sealed: str, *, now: datetime) -> Interaction:
        """Raises `InteractionLost`."""
        try:
            if len(sealed) > MAX_LENGTH:
                raise InteractionLost("too long")
            content = msgspec.json.decode(
                self._sealer.open(LABEL, decode(sealed), b""), type=_Sealed
            )
            request = AuthorizationRequest.parse(Form.parse(content.query))
        except (JoseError, Unsealable, msgspec.MsgspecError, OAuthError):
            raise InteractionLost("it cannot be opened") from None
        began = datetime.fromtimestamp(content.began, UTC)
        if not began <= now < began + self._lifetime:
            raise InteractionLost("it took too long")
        once = None
        if content.once is not None:
            once = Once(content.once, datetime.fromtimestamp(content.ends, UTC))
        return Interaction(request, began, content.sid, content.subject, once)
