"""A client that introduces itself: what it says, and what the server makes of it (RFC 7591, RFC 7592,
and the draft OAuth Client ID Metadata Document)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from mintmark.jose.errors import JoseError
from mintmark.jose.strict_json import decode_object
from mintmark.secret import Secret

__all__ = [
    "ClientMetadata",
    "RegisteredClient",
    "UnusableRegistration",
    "client_metadata_document",
    "require_metadata_client_id",
]


class UnusableRegistration(Exception):
    """An answer that registers nobody, or a document no server could take; it says why."""


class ClientMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client says of itself (RFC 7591 §2, OIDC Registration §2); what is not said is left to
    the server. Members without a place here go into `further`.
    """

    redirect_uris: tuple[str, ...] = ()
    token_endpoint_auth_method: str | None = None
    grant_types: tuple[str, ...] = ()
    response_types: tuple[str, ...] = ()
    client_name: str | None = None
    client_uri: str | None = None
    logo_uri: str | None = None
    scope: str | None = None
    contacts: tuple[str, ...] = ()
    tos_uri: str | None = None
    policy_uri: str | None = None
    jwks_uri: str | None = None
    jwks: Mapping[str, Any] | None = None
    software_id: str | None = None
    software_version: str | None = None
    software_statement: str | None = None
    application_type: str | None = None
    id_token_signed_response_alg: str | None = None
    post_logout_redirect_uris: tuple[str, ...] = ()
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    further: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        # RFC 7591 §2: both at once is what a server has to refuse.
        if self.jwks is not None and self.jwks_uri is not None:
            raise ValueError("jwks and jwks_uri: say one of them")

    def members(self) -> dict[str, Any]:
        """As they go over the wire."""
        members: dict[str, Any] = msgspec.to_builtins(self)
        further: dict[str, Any] = members.pop("further", {})
        return further | members

    def to_json(self) -> bytes:
        return msgspec.json.encode(self.members())


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClient:
    """What the server has registered (RFC 7591 §3.2.1). It may differ from what was asked for."""

    client_id: str
    client_secret: Secret | None
    client_secret_expires_at: int  # seconds since 1970; 0: never
    registration_access_token: Secret | None
    registration_client_uri: str | None
    metadata: Mapping[str, Any]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Raises `UnusableRegistration`."""
        try:
            members = decode_object(body)
        except JoseError:
            raise UnusableRegistration("the registration's answer cannot be read") from None
        texts = {name: _text(members, name) for name in _OWN if name != _EXPIRES}
        if texts["client_id"] is None:
            raise UnusableRegistration("the registration's answer has no client_id")
        expires = members.get(_EXPIRES, 0)
        # RFC 7591 §3.2.1: REQUIRED beside a secret; without it the secret's life is not known.
        if type(expires) is not int or expires < 0:
            raise UnusableRegistration("client_secret_expires_at is no date")
        return cls(
            client_id=texts["client_id"],
            client_secret=_secret(texts["client_secret"]),
            client_secret_expires_at=expires,
            registration_access_token=_secret(texts["registration_access_token"]),
            registration_client_uri=texts["registration_client_uri"],
            metadata={name: value for name, value in members.items() if name not in _OWN},
        )

    def reveal(self) -> bytes:
        """All of it as JSON, secrets in the clear: for a place where only this program reads."""
        own: dict[str, Any] = {"client_id": self.client_id, _EXPIRES: self.client_secret_expires_at}
        if self.client_secret is not None:
            own["client_secret"] = self.client_secret.reveal()
        if self.registration_access_token is not None:
            own["registration_access_token"] = self.registration_access_token.reveal()
        if self.registration_client_uri is not None:
            own["registration_client_uri"] = self.registration_client_uri
        return msgspec.json.encode({**self.metadata, **own})


_EXPIRES = "client_secret_expires_at"
_OWN = (
    "client_id",
    "client_secret",
    _EXPIRES,
    "registration_access_token",
    "registration_client_uri",
)


def require_metadata_client_id(client_id: str) -> str:
    """A `client_id` that is the address of its own metadata document.

    Raises:
        UnusableRegistration: not https, no path, a dot segment, a fragment, or user-info.
    """
    try:
        parts = urlsplit(client_id)
        named = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        named = False
    if not named or not client_id.isascii() or not client_id.isprintable() or " " in client_id:
        raise UnusableRegistration("a client_id with a document is an https address")
    # The draft, section 3: a path component, no dot segments, no fragment.
    if parts.path in ("", "/") or "#" in client_id:
        raise UnusableRegistration("a client_id with a document has a path and no fragment")
    if any(segment in (".", "..") for segment in parts.path.split("/")):
        raise UnusableRegistration("a client_id with a document has no dot segments")
    return client_id


def client_metadata_document(client_id: str, metadata: ClientMetadata) -> bytes:
    """The document to publish at the address `client_id`, as `application/json`.

    Raises:
        UnusableRegistration: no server could take it.
    """
    require_metadata_client_id(client_id)
    # The draft, section 4.1: no secret can be shared by means of a public document.
    if metadata.token_endpoint_auth_method not in (None, "none", "private_key_jwt"):
        raise UnusableRegistration("a public document shares no secret: none or private_key_jwt")
    if not metadata.redirect_uris and "authorization_code" in metadata.grant_types:
        raise UnusableRegistration("redirect_uris: none is named")
    return msgspec.json.encode({**metadata.members(), "client_id": client_id})


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is not None and (type(value) is not str or not value or not value.isprintable()):
        raise UnusableRegistration(f"{name} is no text")
    return value


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text is not None else None
