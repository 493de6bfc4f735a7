"""An API calls another one for the person who called it, in the Microsoft dialect."""

from enum import StrEnum
from typing import final

from mintmark.client.subject_recipe import SubjectRecipe
from mintmark.protocol.jwt_bearer import ON_BEHALF_OF, JwtBearerRequest
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Dialect", "OnBehalfOfToken"]


class Dialect(StrEnum):
    """How a server is told that this is for somebody."""

    STANDARD = "standard"  # token exchange, RFC 8693
    ENTRA = "entra"  # JWT bearer with `requested_token_use`


@final
class OnBehalfOfToken(SubjectRecipe):
    """Microsoft's on-behalf-of: the caller's token is the assertion (RFC 7523 §2.1)."""

    def _request(self, subject: Secret, actor: Secret | None) -> JwtBearerRequest:
        assert actor is None
        extra = dict(self._key.extra)
        # No `resource`: these servers refuse it, and tell the API by the scope. Ours says where the
        # token may be sent.
        return JwtBearerRequest(
            assertion=subject,
            scope=self._key.scope or None,
            requested_token_use=ON_BEHALF_OF,
            claims=extra.get("claims"),
            authorization_details=extra.get("authorization_details"),
        )

    def _required_scope(self) -> Scope:
        # `https://graph.example/.default` comes back as the names of what it stands for, and a full
        # name as its short form. What the token cannot do, this server refuses by itself.
        return frozenset()
