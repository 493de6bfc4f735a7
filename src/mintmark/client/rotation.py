"""Spending a person's refresh token: once, by one process, and without losing what came for it.

What can go wrong between the server's answer and the store, and what becomes of it:

- The store does not take the new pair. It stays in memory and, for 30 seconds, in the shared store;
  whoever comes next finds it by the old refresh token, and does not spend that one again.
- The lease ended while this process stood still. Then nothing is sent.
- The process is killed after the server rotated and before anything was written. Nobody can know
  that the token is used up, and it is shown again, ten seconds later at most, when the lease has
  ended. A server with a grace (RFC 9700 §4.14.2 leaves it to the server; ours has 30 s) gives the
  same successor again. One without it takes the whole sign-in for stolen; but the only living
  token of it died with the process, so not asking would not have saved it either.
- The server's answer is lost on its way. The same holds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import final

from mintmark.client.authority import Authority
from mintmark.client.dpop import load_key
from mintmark.client.errors import AuthorityUnavailable, LoginRequired, TokenRefused
from mintmark.client.events import RefreshTokenRefused, RenewedTokensUnsaved, SuccessorAdopted
from mintmark.client.id_tokens import read_id_token
from mintmark.client.keys import DelegatedKey
from mintmark.client.manager import TokenManager
from mintmark.client.shared import LeaseLost
from mintmark.client.stores import UserTokens, UserTokenStore
from mintmark.client.token_endpoint import ClientIdentity, request_tokens
from mintmark.client.turns import Turn
from mintmark.client.user_tokens import Prepares
from mintmark.jose.errors import JoseError
from mintmark.protocol.token import RefreshTokenRequest, TokenResponse
from mintmark.secret import Secret

__all__ = ["Rotation"]

GENERATIONS = 8
"""So many successors of a successor are followed, and so many writers come between."""

LATE = (0.1, 0.2, 0.4)
"""Seconds in which another process, kept away by no lease, may still write what it was given."""

Merge = Callable[[UserTokens, TokenResponse, datetime], UserTokens]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """One session's refresh token, whichever API its tokens are for."""

    authority: Authority
    identity: ClientIdentity
    manager: TokenManager
    key: DelegatedKey  # of the session as a whole
    session: Secret
    store: UserTokenStore

    def load(self) -> UserTokens:
        """Raises `LoginRequired`, or `AuthorityUnavailable` if the store does not answer."""
        try:
            stored = self.store.load(self.session)
        except Exception as failure:  # noqa: BLE001 -- every store has errors of its own
            raise _away(failure) from None
        if stored is None:
            raise LoginRequired("there are no tokens for this session")
        return stored

    def current(self) -> UserTokens:
        """What is stored, or what came for it already and did not get there."""
        stored = self.load()
        for _ in range(GENERATIONS):
            after = self._successor(stored)
            if after is None:
                return stored
            stored = after
        return stored

    def spend(self, stored: UserTokens, request: RefreshTokenRequest, turn: Turn) -> TokenResponse:
        """Show the refresh token to the server.

        Raises:
            AuthorityUnavailable, TokenRefused.
        """
        self._require_own_key(stored)
        if isinstance(self.store, Prepares):
            try:
                self.store.prepare(self.session)
            except Exception as failure:  # noqa: BLE001 -- every store has errors of its own
                raise _away(failure) from None
        try:
            turn.require_held()
        except LeaseLost:
            raise AuthorityUnavailable("the lease ended before the server was asked") from None
        response = request_tokens(self.authority, self.identity, request)
        now = self.manager.clock.now()
        try:
            return self._require_same_person(response, stored, now)
        except AuthorityUnavailable:
            # Its keys are not to be had, so nothing of the answer is believed. The refresh token is
            # kept all the same: the next ID token that comes for it will be looked at as well.
            self._keep_refresh_token(stored, response)
            raise

    def _require_own_key(self, stored: UserTokens) -> None:
        # This session was signed in anew elsewhere. Shown with the key of before, the refresh token
        # is refused, and that would be taken for the end of the session.
        sender = self.identity.sender
        if sender is None or stored.proof_key is None:
            return
        if load_key(stored.proof_key).public.thumbprint() != sender.thumbprint():
            sender.look_again()
            raise AuthorityUnavailable("the session has another key meanwhile")

    def save(
        self, used: UserTokens, response: TokenResponse, now: datetime, merge: Merge
    ) -> UserTokens:
        """Store what came; gives back what is stored then. Raises `LoginRequired`."""
        base = used
        for _ in range(GENERATIONS):
            ours = merge(base, response, now)
            self._record(used, ours)
            try:
                there = self._replace(ours)
            except LoginRequired:
                self._recorded(used)  # nobody will come for it
                raise
            except AuthorityUnavailable as failure:
                self._unsaved(failure)
                return ours
            if there == ours:
                self._recorded(used)
            if there == ours or there.refresh_token != used.refresh_token:
                return there
            # Somebody forgot an access token meanwhile. The refresh token there is the used one,
            # and ours has to take its place.
            base = there
        return there

    def refused(self, used: UserTokens, turn: Turn) -> UserTokens:
        """What another process stored in place of the refused pair.

        Raises:
            LoginRequired: the refused pair is what is stored, and its session is over.
        """
        for _ in self._looks(turn):
            stored = self.current()
            if stored.refresh_token != used.refresh_token:
                return stored
        # In one step: who stores a living pair at this very moment is not deleted.
        over = replace(stored, version=stored.version + 1, refresh_token=None, access_tokens=())
        there = self._replace(over)
        if there != over and there.refresh_token != used.refresh_token:
            return there
        with suppress(Exception):  # what is left there is worth nothing
            self.store.forget(self.session)
        self.manager.events.emit(RefreshTokenRefused(client_id=self.identity.client_id))
        raise LoginRequired("the server does not renew this person's tokens any more")

    def _looks(self, turn: Turn) -> Iterator[None]:
        yield
        try:
            turn.require_held()
        except LeaseLost:
            pass
        else:
            if turn.shared:
                return  # nobody else can have asked
        for pause in LATE:
            time.sleep(pause)
            yield

    def _successor(self, stored: UserTokens) -> UserTokens | None:
        if stored.refresh_token is None:
            return None
        after = self.manager.successors.of(self.key, stored.refresh_token)
        if after is None:
            return None
        self.manager.events.emit(SuccessorAdopted(client_id=self.identity.client_id))
        adopted = replace(after, version=stored.version + 1)
        try:
            there = self._replace(adopted)
        except AuthorityUnavailable as failure:
            # They live on in memory, and the call that needs them goes on.
            self._record(stored, adopted)
            self._unsaved(failure)
            return adopted
        self._recorded(stored)
        return there

    def _replace(self, tokens: UserTokens) -> UserTokens:
        try:
            return self.store.replace(self.session, tokens)
        except KeyError:
            raise LoginRequired("the session ended meanwhile") from None
        except Exception as failure:  # noqa: BLE001 -- every store has errors of its own
            raise _away(failure) from None

    def _unsaved(self, failure: AuthorityUnavailable) -> None:
        self.manager.events.emit(
            RenewedTokensUnsaved(client_id=self.identity.client_id, reason=failure.reason)
        )

    def _record(self, used: UserTokens, tokens: UserTokens) -> None:
        if used.refresh_token is not None and tokens.refresh_token != used.refresh_token:
            self.manager.successors.keep(self.key, used.refresh_token, tokens)

    def _recorded(self, used: UserTokens) -> None:
        if used.refresh_token is not None:
            self.manager.successors.saved(self.key, used.refresh_token)

    def _keep_refresh_token(self, stored: UserTokens, response: TokenResponse) -> None:
        if response.refresh_token is not None:
            self._record(stored, replace(stored, refresh_token=response.refresh_token))

    def _require_same_person(
        self, response: TokenResponse, stored: UserTokens, now: datetime
    ) -> TokenResponse:
        if response.id_token is None:
            return response
        try:
            # OIDC Core §12.2
            read = read_id_token(
                response.id_token,
                self.authority,
                self.identity,
                nonce=None,
                now=now,
                access_token=response.access_token,
            )
        except JoseError as refusal:
            raise TokenRefused("invalid_id_token", refusal.reason) from None
        if not stored.subject:
            # Nobody said whose these are when they came, so there is nobody to compare with. To
            # refuse the answer would lose the refresh token in it.
            return replace(response, id_token=None)
        if read.id_token.sub != stored.subject:
            raise TokenRefused("invalid_id_token", "the refreshed ID token is about another person")
        return replace(response, id_token=read.signed)


def _away(failure: Exception) -> AuthorityUnavailable:
    return AuthorityUnavailable(f"the store of people's tokens: {type(failure).__name__}")
