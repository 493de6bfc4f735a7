"""Token requests, one class per grant, and the token response (RFC 6749 §4-6)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

import msgspec

from mintmark.protocol.authorization_details import AuthorizationDetails, read_details
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.scope import Scope, format_scope, parse_scope
from mintmark.secret import Secret

__all__ = [
    "AuthorizationCodeRequest",
    "ClientCredentialsRequest",
    "RefreshTokenRequest",
    "TokenRequest",
    "TokenResponse",
    "UnreadableTokenResponse",
    "encode_form",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCodeRequest:
    """Asks for tokens in exchange for an authorization code (RFC 6749 §4.1.3)."""

    grant_type: ClassVar[str] = "authorization_code"

    code: Secret
    redirect_uri: str
    code_verifier: Secret | None  # None is refused by the grant: every code has a challenge
    resource: tuple[str, ...] = ()  # RFC 8707 §2.2; needed where the scope has several

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` on a missing parameter."""
        return cls(
            code=form.required("code", Secret),
            redirect_uri=form.required("redirect_uri", str),
            code_verifier=form.optional("code_verifier", Secret),
            resource=form.every("resource"),
        )

    def parameters(self) -> list[tuple[str, str]]:
        verifier = self.code_verifier
        return [
            ("grant_type", self.grant_type),
            ("code", self.code.reveal()),
            ("redirect_uri", self.redirect_uri),
            *([("code_verifier", verifier.reveal())] if verifier else []),
            *_scope_and_resource(None, self.resource),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenRequest:
    """Asks for new tokens in exchange for a refresh token (RFC 6749 §6)."""

    grant_type: ClassVar[str] = "refresh_token"

    refresh_token: Secret
    scope: Scope | None = None  # None asks for everything first granted
    resource: tuple[str, ...] = ()  # RFC 8707 §2.2; empty asks for every resource granted
    authorization_details: str | None = None  # RFC 9396 §6.1; None asks for all that were granted

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` on a missing parameter."""
        return cls(
            refresh_token=form.required("refresh_token", Secret),
            scope=form.optional("scope", parse_scope),
            resource=form.every("resource"),
            authorization_details=form.optional("authorization_details", str),
        )

    def parameters(self) -> list[tuple[str, str]]:
        details = self.authorization_details
        return [
            ("grant_type", self.grant_type),
            ("refresh_token", self.refresh_token.reveal()),
            *_scope_and_resource(self.scope, self.resource),
            *([("authorization_details", details)] if details else []),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentialsRequest:
    """Asks for a token in the client's own name (RFC 6749 §4.4.2)."""

    grant_type: ClassVar[str] = "client_credentials"

    scope: Scope | None = None  # None asks for everything the client may have
    resource: tuple[str, ...] = ()  # RFC 8707 §2.2
    authorization_details: str | None = None  # RFC 9396 §2, the JSON as it travels
    claims: str | None = None  # the JSON of a claims challenge, as it travels

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_SCOPE)` on a scope that cannot be read."""
        return cls(
            scope=form.optional("scope", parse_scope),
            resource=form.every("resource"),
            authorization_details=form.optional("authorization_details", str),
            claims=form.optional("claims", str),
        )

    def parameters(self) -> list[tuple[str, str]]:
        details, claims = self.authorization_details, self.claims
        return [
            ("grant_type", self.grant_type),
            *_scope_and_resource(self.scope, self.resource),
            *([("authorization_details", details)] if details else []),
            *([("claims", claims)] if claims else []),
        ]


TokenRequest = AuthorizationCodeRequest | RefreshTokenRequest | ClientCredentialsRequest


def _scope_and_resource(scope: Scope | None, resource: tuple[str, ...]) -> list[tuple[str, str]]:
    return [
        *([("scope", format_scope(scope))] if scope else []),
        *(("resource", one) for one in resource),
    ]


def encode_form(parameters: list[tuple[str, str]]) -> bytes:
    """The body of a form post."""
    return urlencode(parameters).encode("ascii")


class UnreadableTokenResponse(Exception):
    """A token endpoint answered something that is no token response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """A successful answer of the token endpoint (RFC 6749 §5.1)."""

    access_token: Secret
    token_type: str
    expires_in: timedelta | None = None  # None: the server did not say
    refresh_token: Secret | None = None
    id_token: Secret | None = None
    scope: Scope | None = None  # None: what was asked for
    authorization_details: AuthorizationDetails = ()  # RFC 9396 §7: what was granted
    refresh_in: timedelta | None = None  # when the server would like to be asked again

    def to_json(self) -> bytes:
        members: dict[str, Any] = {
            "access_token": self.access_token.reveal(),
            "token_type": self.token_type,
        }
        if self.expires_in is not None:
            members["expires_in"] = int(self.expires_in.total_seconds())
        if self.refresh_in is not None:
            members["refresh_in"] = int(self.refresh_in.total_seconds())
        if self.refresh_token is not None:
            members["refresh_token"] = self.refresh_token.reveal()
        if self.id_token is not None:
            members["id_token"] = self.id_token.reveal()
        if self.scope is not None:
            members["scope"] = format_scope(self.scope)
        if self.authorization_details:
            members["authorization_details"] = self.authorization_details
        return msgspec.json.encode(members)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """A 200 answer of somebody's token endpoint.

        `expires_in` may be a number or digits in a string, for some servers send that. Zero,
        negative or unreadable lifetimes are refused: a token of no life would be fetched
        again for every call.

        Raises:
            UnreadableTokenResponse: with a reason that quotes no part of the answer.
        """
        members = _members(body)
        return cls(
            access_token=_secret(members, "access_token"),
            token_type=_token_type(members),
            expires_in=_lifetime(members.get("expires_in")),
            refresh_token=_optional_secret(members, "refresh_token"),
            id_token=_optional_secret(members, "id_token"),
            scope=_scope(members.get("scope")),
            authorization_details=_details(members.get("authorization_details")),
            refresh_in=_hint(members.get("refresh_in")),
        )


def _members(body: bytes) -> dict[str, Any]:
    try:
        members = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableTokenResponse("the token response is not JSON") from None
    if not isinstance(members, dict):
        raise UnreadableTokenResponse("the token response is no JSON object")
    return members


def _secret(members: dict[str, Any], name: str) -> Secret:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise UnreadableTokenResponse(f"{name} is missing or no string")
    return Secret(value)


def _optional_secret(members: dict[str, Any], name: str) -> Secret | None:
    return None if members.get(name) is None else _secret(members, name)


def _token_type(members: dict[str, Any]) -> str:
    # RFC 6749 §5.1: required; a client must not use a token whose type it does not know (§7.1).
    token_type = members.get("token_type")
    if not isinstance(token_type, str) or not token_type:
        raise UnreadableTokenResponse("token_type is missing or no string")
    return token_type


def _hint(value: Any) -> timedelta | None:
    # No standard names `refresh_in`, and without it everything works: a strange one is no reason
    # to refuse the token that came with it.
    try:
        return _lifetime(value)
    except UnreadableTokenResponse:
        return None


def _lifetime(value: Any) -> timedelta | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        raise UnreadableTokenResponse("expires_in is not a positive number of seconds")
    return timedelta(seconds=value)


def _scope(value: Any) -> Scope | None:
    if value is None or value == "":
        return None
    try:
        return parse_scope(value if isinstance(value, str) else "")
    except OAuthError:
        raise UnreadableTokenResponse("scope cannot be read") from None


def _details(value: Any) -> AuthorizationDetails:
    try:
        return read_details(value)
    except ValueError:
        raise UnreadableTokenResponse("authorization_details cannot be read") from None
