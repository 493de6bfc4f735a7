"""What makes one token another: the whole request.

`told_apart_by` is the field in which most keys of a program differ: octets, or a set of texts.
What the others say is kept once for all of them.
"""

from dataclasses import dataclass

from mintmark.protocol.scope import Scope

__all__ = ["ApplicationKey", "DelegatedKey", "SubjectKey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationKey:
    """Names an application token. Two requests that differ in anything have two keys."""

    issuer: str
    client_id: str
    scope: Scope
    resource: frozenset[str]
    jkt: str = ""  # the thumbprint of the key it is bound to
    extra: frozenset[tuple[str, str]] = frozenset()

    kind = "application"
    told_apart_by = "resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegatedKey:
    """Names a person's token. It is another type, so that it cannot be taken for an application's."""

    issuer: str
    client_id: str
    session: bytes  # the SHA-256 of the session's own name
    scope: Scope
    resource: frozenset[str]
    jkt: str = ""
    extra: frozenset[tuple[str, str]] = frozenset()

    kind = "delegated"
    told_apart_by = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectKey:
    """Names a token that was got by giving something about somebody: W-25 is a key without them."""

    issuer: str
    client_id: str
    grant: str  # the `grant_type`: two ways to ask are two requests
    subject: bytes  # the SHA-256 of the token that was given, or of a long-running session's name
    actor: bytes  # the SHA-256 of the actor's token; empty without one
    scope: Scope
    resource: frozenset[str]
    audience: frozenset[str] = frozenset()
    jkt: str = ""
    extra: frozenset[tuple[str, str]] = frozenset()

    kind = "exchanged"
    told_apart_by = "subject"
