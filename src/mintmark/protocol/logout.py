"""Ending the session at the server on a client's wish (OIDC RP-Initiated Logout)."""

from dataclasses import dataclass
from typing import Self

from mintmark.protocol.form import Form
from mintmark.secret import Secret

__all__ = ["EndSessionRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSessionRequest:
    """A browser brings this to the end-session endpoint (OIDC RP-Initiated Logout §2)."""

    id_token_hint: Secret | None = None
    client_id: str | None = None
    post_logout_redirect_uri: str | None = None
    state: Secret | None = None

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Every parameter is optional; a repeated one has been refused by the form."""
        return cls(
            id_token_hint=form.optional("id_token_hint", Secret),
            client_id=form.optional("client_id", str),
            post_logout_redirect_uri=form.optional("post_logout_redirect_uri", str),
            state=form.optional("state", Secret),
        )

    def parameters(self) -> list[tuple[str, str]]:
        candidates = [
            ("id_token_hint", self.id_token_hint.reveal() if self.id_token_hint else None),
            ("client_id", self.client_id),
            ("post_logout_redirect_uri", self.post_logout_redirect_uri),
            ("state", self.state.reveal() if self.state else None),
        ]
        return [(name, value) for name, value in candidates if value is not None]
