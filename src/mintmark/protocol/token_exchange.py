"""One token given for another (RFC 8693): the request, and the answer."""

from dataclasses import dataclass, fields
from typing import ClassVar, Final, Self

import msgspec

from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.scope import Scope, format_scope, parse_scope
from mintmark.protocol.token import TokenResponse, UnreadableTokenResponse
from mintmark.secret import Secret

__all__ = [
    "ACCESS_TOKEN",
    "ID_JAG",
    "ID_TOKEN",
    "JWT",
    "NOT_APPLICABLE",
    "REFRESH_TOKEN",
    "SAML1",
    "SAML2",
    "TOKEN_TYPES",
    "USABLE_AS_ACCESS_TOKEN",
    "TokenExchangeRequest",
    "TokenExchangeResponse",
]

# RFC 8693 §3: names of token types. They are no secrets, whatever a linter thinks of the word.
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 -- a type's name
REFRESH_TOKEN: Final = "urn:ietf:params:oauth:token-type:refresh_token"  # noqa: S105 -- a type's name
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 -- a type's name
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
SAML1: Final = "urn:ietf:params:oauth:token-type:saml1"
SAML2: Final = "urn:ietf:params:oauth:token-type:saml2"
ID_JAG: Final = "urn:ietf:params:oauth:token-type:id-jag"
"""An assertion that another authorization server takes (the ID-JAG draft); not of RFC 8693."""

TOKEN_TYPES: Final = frozenset({ACCESS_TOKEN, REFRESH_TOKEN, ID_TOKEN, JWT, SAML1, SAML2, ID_JAG})

USABLE_AS_ACCESS_TOKEN: Final = frozenset({ACCESS_TOKEN, JWT})
"""RFC 8693 §3: a JWT may be an access token; `token_type` says whether this one is."""

NOT_APPLICABLE: Final = "N_A"
"""The `token_type` of what is no access token (RFC 8693 §2.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExchangeRequest:
    """Gives a token about somebody, and asks for another (RFC 8693 §2.1).

    `subject_token` says whom the new token is about; `actor_token`, if there is one, who acts.
    """

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:token-exchange"

    subject_token: Secret
    subject_token_type: str = ACCESS_TOKEN
    actor_token: Secret | None = None
    actor_token_type: str | None = None
    requested_token_type: str | None = None  # None leaves it to the server
    scope: Scope | None = None
    resource: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    authorization_details: str | None = None  # RFC 9396 §2, the JSON as it travels

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` on a missing parameter, or an actor by halves."""
        actor_token = form.optional("actor_token", Secret)
        actor_token_type = form.optional("actor_token_type", str)
        # RFC 8693 §2.1: the type is required beside an actor token, and forbidden without one.
        if (actor_token is None) != (actor_token_type is None):
            missing = "actor_token" if actor_token is None else "actor_token_type"
            raise OAuthError(ErrorCode.INVALID_REQUEST, f"{missing} is missing")
        return cls(
            subject_token=form.required("subject_token", Secret),
            subject_token_type=form.required("subject_token_type", str),
            actor_token=actor_token,
            actor_token_type=actor_token_type,
            requested_token_type=form.optional("requested_token_type", str),
            scope=form.optional("scope", parse_scope),
            resource=form.every("resource"),
            audience=form.every("audience"),
            authorization_details=form.optional("authorization_details", str),
        )

    def parameters(self) -> list[tuple[str, str]]:
        actor, actor_type = self.actor_token, self.actor_token_type
        if (actor is None) != (actor_type is None):
            raise ValueError("actor_token and actor_token_type go together")
        optional = {
            "actor_token": actor.reveal() if actor else None,
            "actor_token_type": actor_type,
            "requested_token_type": self.requested_token_type,
            "scope": format_scope(self.scope) if self.scope else None,
            "authorization_details": self.authorization_details,
        }
        return [
            ("grant_type", self.grant_type),
            ("subject_token", self.subject_token.reveal()),
            ("subject_token_type", self.subject_token_type),
            *((name, value) for name, value in optional.items() if value),
            *(("resource", one) for one in self.resource),
            *(("audience", one) for one in self.audience),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExchangeResponse(TokenResponse):
    """The answer, which says what kind of token it gives (RFC 8693 §2.2.1).

    The member is called `access_token` whatever the token is.
    """

    issued_token_type: str

    # The base is named, and not `super()`: a class with slots is made twice, and the method would
    # know the first of the two.
    def to_json(self) -> bytes:
        members = msgspec.json.decode(TokenResponse.to_json(self))
        return msgspec.json.encode(members | {"issued_token_type": self.issued_token_type})

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """A 200 answer to an exchange.

        Raises:
            UnreadableTokenResponse: with a reason that quotes no part of the answer.
        """
        plain = TokenResponse.parse(body)
        issued = msgspec.json.decode(body).get("issued_token_type")
        # RFC 8693 §2.2.1: required. Without it nobody knows what was issued.
        if not isinstance(issued, str) or not issued:
            raise UnreadableTokenResponse("issued_token_type is missing or no string")
        members = {one.name: getattr(plain, one.name) for one in fields(plain)}
        return cls(**members, issued_token_type=issued)
