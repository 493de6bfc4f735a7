"""Why there is no token, or why it did not help.

TokenUnavailable          no token, so no request was sent
├── AuthorityUnavailable  the server cannot be reached or is overloaded
│   └── ProofUnavailable  it could not be asked: what proves who we are is not to be had
├── TokenRefused          the server said no
└── LoginRequired         somebody has to sign in (again)
LoginFailed               a sign-in did not happen
OriginNotAllowed          the token is not for that address
TokenRejected             the API refused a fresh token as well
StepUpRequired            the API wants a stronger or fresher sign-in, or other claims
└── InsufficientScope     it wants a scope that the token does not have
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mintmark.protocol.scope import Scope

__all__ = [
    "AuthorityUnavailable",
    "InsufficientScope",
    "LoginFailed",
    "LoginRequired",
    "OriginNotAllowed",
    "ProofUnavailable",
    "StepUpRequired",
    "TokenRefused",
    "TokenRejected",
    "TokenUnavailable",
]


class TokenUnavailable(Exception):
    """There is no token, and therefore no request was sent."""

    retryable = False

    def again(self) -> "TokenUnavailable":
        """The same refusal for another caller; one exception object carries one traceback."""
        return type(self)(*self.args)


class AuthorityUnavailable(TokenUnavailable):
    """The token server did not answer, or asked to be left alone for a while."""

    retryable = True

    def __init__(self, reason: str, retry_after: timedelta | None = None) -> None:
        super().__init__(reason, retry_after)
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.reason


class ProofUnavailable(AuthorityUnavailable):
    """The server was not asked, for what proves who we are is not to be had at this moment.

    `reason` says what failed, and quotes neither the secret nor whoever was to give it.
    """


class TokenRefused(TokenUnavailable):
    """The token server refused; `error` is its code (RFC 6749 §5.2). Trying again will not help."""

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(error, description)
        self.error = error
        self.description = description

    def __str__(self) -> str:
        return f"{self.error}: {self.description}" if self.description else self.error


class LoginRequired(TokenUnavailable):
    """There are no tokens for this person any more: they have to sign in again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class LoginFailed(Exception):
    """A sign-in came back wrong. `reason` is for the log; the person is told to begin again."""

    retryable = False

    def __init__(self, reason: str, error: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error  # what the server said, `access_denied` for instance; else empty


class OriginNotAllowed(Exception):
    """A request to this origin must not carry this token. Nothing was sent."""

    retryable = False


class TokenRejected(Exception):
    """The API answered `invalid_token` to a token that was fetched for this very call."""

    retryable = False


class StepUpRequired(Exception):
    """The API understood the token and wants another one, which only its person can get.

    Hand it to `begin(step_up=...)`: the sign-in then asks for what is missing, and fails unless
    that comes. Somebody who is asked for more should be told why.
    """

    retryable = False

    def __init__(
        self,
        *,
        scope: Scope = frozenset(),
        acr_values: tuple[str, ...] = (),
        max_age: timedelta | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> None:
        wanted = [
            *(["the scope " + " ".join(sorted(scope))] if scope else []),
            *(["a stronger sign-in"] if acr_values else []),
            *(["a fresher sign-in"] if max_age is not None else []),
            *(["other claims"] if claims else []),
        ]
        super().__init__("the API wants " + (" and ".join(wanted) or "another sign-in"))
        self.scope = scope
        self.acr_values = acr_values  # one of these
        self.max_age = max_age
        self.claims = claims  # for the `claims` parameter of the request


class InsufficientScope(StepUpRequired):
    """The API understood the token and wants more scope (RFC 6750 §3.1)."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
