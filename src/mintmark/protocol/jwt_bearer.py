"""An assertion as a grant (RFC 7523 §2.1), and Microsoft's on-behalf-of, which is a dialect of it."""

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from mintmark.protocol.form import Form
from mintmark.protocol.scope import Scope, format_scope, parse_scope
from mintmark.secret import Secret

__all__ = ["ON_BEHALF_OF", "JwtBearerRequest"]

ON_BEHALF_OF: Final = "on_behalf_of"
"""The `requested_token_use` by which Microsoft tells a user's token from any other assertion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtBearerRequest:
    """Gives a signed statement about somebody, and asks for a token (RFC 7523 §2.1).

    In the Microsoft dialect (`requested_token_use` is `on_behalf_of`) the assertion is the access
    token with which this API was called. It must be made out to the client that asks.
    """

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:jwt-bearer"

    assertion: Secret
    scope: Scope | None = None
    resource: tuple[str, ...] = ()
    requested_token_use: str | None = None
    claims: str | None = None  # the JSON of a claims challenge, as it travels (OIDC Core §5.5)
    authorization_details: str | None = None  # RFC 9396 §2, the JSON as it travels

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` on a missing assertion."""
        return cls(
            assertion=form.required("assertion", Secret),
            scope=form.optional("scope", parse_scope),
            resource=form.every("resource"),
            requested_token_use=form.optional("requested_token_use", str),
            claims=form.optional("claims", str),
            authorization_details=form.optional("authorization_details", str),
        )

    def parameters(self) -> list[tuple[str, str]]:
        optional = {
            "scope": format_scope(self.scope) if self.scope else None,
            "requested_token_use": self.requested_token_use,
            "claims": self.claims,
            "authorization_details": self.authorization_details,
        }
        return [
            ("grant_type", self.grant_type),
            ("assertion", self.assertion.reveal()),
            *((name, value) for name, value in optional.items() if value),
            *(("resource", one) for one in self.resource),
        ]
