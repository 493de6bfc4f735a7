"""A sign-in that is under way: what has to be remembered of it, and what has to come of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from mintmark.client.errors import LoginFailed
from mintmark.protocol.id_token import IdToken
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = [
    "Demands",
    "LoginAttempt",
    "UnreadableAttempt",
    "dump_attempt",
    "load_attempt",
    "require_met",
]


class Demands(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the ID token and the tokens must show, or the sign-in failed."""

    max_age: timedelta | None = None
    acr_values: tuple[str, ...] = ()  # one of these
    subject: str | None = None
    scope: Scope = frozenset()  # at least this


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """What must be remembered, where nobody else can read it, until the browser comes back."""

    url: str = field(repr=False)  # send the browser here
    state: Secret
    nonce: Secret
    code_verifier: Secret
    scope: Scope | None = None  # what was asked for; None: what the flow asks for always
    demands: Demands = field(default_factory=Demands)
    url_ends: datetime | None = None  # a pushed request is kept until here, and not longer


class UnreadableAttempt(Exception):
    """It was written by something else."""


class _Kept(msgspec.Struct, omit_defaults=True):
    nonce: str
    code_verifier: str
    scope: Scope | None = None
    demands: Demands = Demands()


def dump_attempt(attempt: LoginAttempt) -> bytes:
    """All but its address and its `state`, which the browser brings back. Keep it sealed."""
    kept = _Kept(
        attempt.nonce.reveal(), attempt.code_verifier.reveal(), attempt.scope, attempt.demands
    )
    return msgspec.json.encode(kept)


def load_attempt(kept: bytes, state: Secret) -> LoginAttempt:
    """The attempt that can be finished. Raises `UnreadableAttempt`."""
    try:
        read = msgspec.json.decode(kept, type=_Kept)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UnreadableAttempt("the attempt cannot be read") from None
    return LoginAttempt(
        url="",
        state=state,
        nonce=Secret(read.nonce),
        code_verifier=Secret(read.code_verifier),
        scope=read.scope,
        demands=read.demands,
    )


def require_met(demands: Demands, id_token: IdToken, granted: Scope) -> None:
    """The server may ignore what it was asked for; then this sign-in did not happen.

    Raises:
        LoginFailed: saying what is missing.
    """
    # OIDC Core §5.5.1.1, RFC 9470 §4: who asks for an assurance looks whether it came.
    if demands.acr_values and id_token.acr not in demands.acr_values:
        raise LoginFailed("acr is none of those that were asked for")
    if demands.subject is not None and id_token.sub != demands.subject:
        raise LoginFailed("another person signed in")
    if not demands.scope <= granted:
        raise LoginFailed("the server granted less than the API wants")
