"""Work for somebody that goes on after their token has ended, with a refresh token of its own."""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Protocol, final

from mintmark.client.authority import Authority
from mintmark.client.delegated import DelegatedToken
from mintmark.client.issued import id_token_of, user_tokens_of
from mintmark.client.keys import DelegatedKey, SubjectKey
from mintmark.client.manager import Acquired, TokenManager
from mintmark.client.stores import UserTokens, UserTokenStore
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret

__all__ = ["LongRunning", "WorkStore", "work_digest"]


class WorkStore(UserTokenStore, Protocol):
    """A store that a session can begin in."""

    def begin(self, session: Secret, tokens: UserTokens) -> None:
        """A new entry; older tokens of this session are gone."""
        ...


@final
class LongRunning:
    """One kind of work of one session: it has an entry of its own in the store.

    The session's name is the caller's choice, and stands for one person: whoever says it gets
    that person's token. So it is a random secret, and never a name.
    """

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        manager: TokenManager,
        key: SubjectKey,
        session: Secret,
        store: WorkStore,
    ) -> None:
        self.digest = work_digest(session)
        self._authority = authority
        self._identity = identity
        self._store = store
        self._key = key
        # Every request of a session has a refresh token of its own, which must not push out
        # another's.
        self._session = Secret(f"{session.reveal()}.{_fingerprint(key)}")
        delegated = DelegatedKey(
            issuer=key.issuer,
            client_id=key.client_id,
            session=self._session.digest(),
            scope=key.scope,
            resource=key.resource,
            jkt=key.jkt,
            extra=key.extra,
        )
        self._delegated = DelegatedToken(
            authority, identity, manager, delegated, self._session, store
        )

    def renewed(self) -> Acquired:
        """The stored token, or the next one.

        Raises:
            LoginRequired: there is nothing to go on with.
            TokenUnavailable.
        """
        # Not `token()`: that would wait in a thread of the manager's for another of them.
        return self._delegated._acquire()  # noqa: SLF001 -- the same flight, from within it

    def begin(self, response: TokenResponse, now: datetime) -> None:
        """Keep what the first request brought.

        Raises:
            TokenRefused: it came with an ID token that does not hold.
        """
        id_token = id_token_of(response, self._authority, self._identity, now=now)
        tokens = user_tokens_of(
            response,
            id_token,
            now=now,
            scope=self._key.scope,
            resource=self._key.resource,
            jkt=self._identity.thumbprint(),
        )
        self._store.begin(self._session, tokens)

    def forget(self, token: Secret) -> None:
        self._delegated.forget(token)

    def end(self) -> None:
        """Repeating it is harmless."""
        self._store.forget(self._session)


def work_digest(session: Secret) -> bytes:
    """What stands for a session's work in a key; no token has this digest."""
    return Secret(f"work of {session.reveal()}").digest()


def _fingerprint(key: SubjectKey) -> str:
    whole = replace(key, subject=b"", actor=b"")
    parts = (
        whole.issuer,
        whole.client_id,
        whole.grant,
        *("\n".join(sorted(many)) for many in (whole.scope, whole.resource, whole.audience)),
        repr(sorted(whole.extra)),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
