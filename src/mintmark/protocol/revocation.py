"""Asking that a token be forgotten (RFC 7009)."""

from dataclasses import dataclass
from typing import Self

from mintmark.protocol.form import Form
from mintmark.secret import Secret

__all__ = ["RevocationRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRequest:
    """Names a token to be revoked (RFC 7009 §2.1)."""

    token: Secret
    token_type_hint: str | None = None  # a hint only: a wrong one must not save the token

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` on a missing token."""
        return cls(
            token=form.required("token", Secret),
            token_type_hint=form.optional("token_type_hint", str),
        )

    def parameters(self) -> list[tuple[str, str]]:
        hint = self.token_type_hint
        return [
            ("token", self.token.reveal()),
            *([("token_type_hint", hint)] if hint else []),
        ]
