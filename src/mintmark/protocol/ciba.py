"""A server asks a person on their own device (OIDC CIBA Core): the requests, and the answers."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final, Self

import msgspec

from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.polling import UnreadableAnswer, read_members, seconds_of, text_of
from mintmark.protocol.scope import Scope, format_scope, parse_scope
from mintmark.secret import Secret

__all__ = [
    "BackchannelRequest",
    "BackchannelResponse",
    "BackchannelTokenRequest",
    "read_notification",
]

INTERVAL: Final = timedelta(seconds=5)  # OIDC CIBA Core §7.3
HINTS: Final = ("login_hint", "id_token_hint", "login_hint_token")
MAX_NOTIFICATION_TOKEN: Final = 1024  # OIDC CIBA Core §7.1
MAX_NOTIFICATION: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class BackchannelRequest:
    """Asks the server to ask somebody (OIDC CIBA Core §7.1). Exactly one hint says whom."""

    scope: Scope
    login_hint: str | None = None
    id_token_hint: Secret | None = None
    login_hint_token: Secret | None = None
    client_notification_token: Secret | None = None
    binding_message: str | None = None
    acr_values: tuple[str, ...] = ()
    user_code: Secret | None = None
    requested_expiry: timedelta | None = None
    resource: tuple[str, ...] = ()

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` unless exactly one hint is there."""
        if sum(form.optional(name, str) is not None for name in HINTS) != 1:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "exactly one hint is needed")
        return cls(
            scope=form.required("scope", parse_scope),
            login_hint=form.optional("login_hint", str),
            id_token_hint=form.optional("id_token_hint", Secret),
            login_hint_token=form.optional("login_hint_token", Secret),
            client_notification_token=form.optional("client_notification_token", _notification),
            binding_message=form.optional("binding_message", str),
            acr_values=tuple((form.optional("acr_values", str) or "").split()),
            user_code=form.optional("user_code", Secret),
            requested_expiry=form.optional("requested_expiry", _expiry),
            resource=form.every("resource"),
        )

    def parameters(self) -> list[tuple[str, str]]:
        expiry = self.requested_expiry
        optional = {
            "login_hint": self.login_hint,
            "id_token_hint": _revealed(self.id_token_hint),
            "login_hint_token": _revealed(self.login_hint_token),
            "client_notification_token": _revealed(self.client_notification_token),
            "binding_message": self.binding_message,
            "acr_values": " ".join(self.acr_values),
            "user_code": _revealed(self.user_code),
            "requested_expiry": str(int(expiry.total_seconds())) if expiry else None,
        }
        return [
            ("scope", format_scope(self.scope)),
            *((name, value) for name, value in optional.items() if value),
            *(("resource", one) for one in self.resource),
        ]


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def _notification(text: str) -> Secret:
    if len(text) > MAX_NOTIFICATION_TOKEN:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "client_notification_token is too long")
    return Secret(text)


def _expiry(text: str) -> timedelta:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) == 0:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "requested_expiry is no number of seconds")
    return timedelta(seconds=int(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackchannelResponse:
    """The person is being asked (OIDC CIBA Core §7.3)."""

    auth_req_id: Secret
    expires_in: timedelta
    interval: timedelta = INTERVAL

    def to_json(self) -> bytes:
        members: dict[str, Any] = {
            "auth_req_id": self.auth_req_id.reveal(),
            "expires_in": int(self.expires_in.total_seconds()),
            "interval": int(self.interval.total_seconds()),
        }
        return msgspec.json.encode(members)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """A 200 answer.

        Raises:
            UnreadableAnswer: with a reason that quotes no part of it.
        """
        members = read_members(body)
        auth_req_id, expires_in = text_of(members, "auth_req_id"), seconds_of(members, "expires_in")
        if auth_req_id is None or expires_in is None:
            raise UnreadableAnswer("auth_req_id or expires_in is missing")
        return cls(
            auth_req_id=Secret(auth_req_id),
            expires_in=expires_in,
            interval=seconds_of(members, "interval") or INTERVAL,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackchannelTokenRequest:
    """Asks for the tokens of an authentication request (OIDC CIBA Core §10.1)."""

    grant_type: ClassVar[str] = "urn:openid:params:grant-type:ciba"

    auth_req_id: Secret
    resource: tuple[str, ...] = ()

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` on a missing `auth_req_id`."""
        return cls(
            auth_req_id=form.required("auth_req_id", Secret), resource=form.every("resource")
        )

    def parameters(self) -> list[tuple[str, str]]:
        return [
            ("grant_type", self.grant_type),
            ("auth_req_id", self.auth_req_id.reveal()),
            *(("resource", one) for one in self.resource),
        ]


def read_notification(body: bytes) -> Secret:
    """The `auth_req_id` of a ping (OIDC CIBA Core §10.2).

    Raises:
        UnreadableAnswer.
    """
    if len(body) > MAX_NOTIFICATION:
        raise UnreadableAnswer("the notification is too long")
    auth_req_id = text_of(read_members(body), "auth_req_id")
    if auth_req_id is None:
        raise UnreadableAnswer("auth_req_id is missing")
    return Secret(auth_req_id)
