"""What the device grant and CIBA have in common at the fake authority: somebody who approves."""

from datetime import timedelta
from typing import Final, final

from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.id_token import mint_id_token
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret
from mintmark.testing.authority import FakeAuthority

__all__ = ["CLOSING", "FakeApproval", "require_polite"]

PENDING = ErrorCode.AUTHORIZATION_PENDING

CLOSING: Final = {"connection": "close"}
"""Further endpoints hang up after each answer; whoever keeps connections has to be told."""


@final
class FakeApproval:
    """One request that somebody approves or not, polled as the specifications allow.

    Attributes:
        answers: given first, one each; then `always`.
        always: what is said after that; None gives the tokens.
        polls: the moments at which it was asked.
    """

    def __init__(self, scope: Scope, resource: tuple[str, ...], interval: timedelta) -> None:
        self.scope = scope
        self.resource = resource
        self.interval = interval
        self.answers: list[ErrorCode | None] = []
        self.always: ErrorCode | None = PENDING
        self.polls: list[float] = []

    def poll(self, authority: FakeAuthority) -> TokenResponse:
        """The tokens. Raises `OAuthError`: not yet, or not at all."""
        self.polls.append(authority.clock.timestamp())
        require_polite(self)
        answer = self.answers.pop(0) if self.answers else self.always
        if answer is not None:
            raise OAuthError(answer, "as the test wants it")
        # RFC 8628 §3.5: a code is used once.
        self.always = ErrorCode.INVALID_GRANT
        return _tokens(authority, self.scope, self.resource)


def require_polite(approval: FakeApproval) -> None:
    """RFC 8628 §3.5: whoever polls faster than the interval is told so. Raises `OAuthError`."""
    polls = approval.polls
    if len(polls) > 1 and polls[-1] - polls[-2] < approval.interval.total_seconds():
        approval.interval += timedelta(seconds=5)
        raise OAuthError(ErrorCode.SLOW_DOWN, "too fast")


def _tokens(authority: FakeAuthority, scope: Scope, resource: tuple[str, ...]) -> TokenResponse:
    now = authority.clock.now()
    access_token = authority.access_token(
        scope=" ".join(sorted(scope)), sub=authority.subject, aud=resource or None
    )
    id_token = mint_id_token(
        iss=authority.issuer,
        sub=authority.subject,
        aud="client",
        nonce=None,
        auth_time=now,
        sid="sid",
        access_token=access_token,
        now=now,
        lifetime=timedelta(minutes=5),
        key=authority.key,
    )
    return TokenResponse(
        access_token=access_token,
        token_type="Bearer",
        expires_in=authority.lifetime,
        refresh_token=Secret.generate(),
        id_token=id_token if "openid" in scope else None,
        scope=scope or None,
    )
