"""A signed-in person's tokens."""

from dataclasses import replace
from datetime import datetime
from typing import final

from mintmark.client.authority import Authority
from mintmark.client.errors import LoginRequired, TokenRefused
from mintmark.client.id_tokens import read_id_token
from mintmark.client.keys import DelegatedKey
from mintmark.client.manager import Acquired, TokenManager
from mintmark.client.recipe import HeldRecipe
from mintmark.client.stores import StoredToken, UserTokens, UserTokenStore
from mintmark.client.token_endpoint import ClientIdentity, request_tokens
from mintmark.jose.errors import JoseError
from mintmark.protocol.token import RefreshTokenRequest, TokenResponse
from mintmark.secret import Secret

__all__ = ["DelegatedToken"]


RENEWAL = frozenset({("renewal", "")})


@final
class DelegatedToken(HeldRecipe):
    """A signed-in person's token for one API, renewed with their refresh token."""

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        manager: TokenManager,
        key: DelegatedKey,
        session: Secret,
        store: UserTokenStore,
    ) -> None:
        super().__init__(authority, identity, manager, key)
        self._key = key
        self._session = session
        self._store = store
        # Renewal spends the session's one refresh token, so it has one flight for all its APIs.
        whole = replace(key, scope=frozenset(), resource=frozenset(), extra=RENEWAL)
        self._renewal = manager.slot(whole)

    def forget(self, token: Secret) -> None:
        """An API refused exactly this one; the next call renews it."""
        stored = self._store.load(self._session)
        if stored is not None:
            kept = tuple(one for one in stored.access_tokens if one.access_token != token)
            if kept != stored.access_tokens:
                self._replace(replace(stored, version=stored.version + 1, access_tokens=kept))
        super().forget(token)

    def _acquire(self) -> Acquired:
        with self._renewal.lock:
            stored = self._load()
            held = self._held_in(stored)
            return held or self._renew(stored)

    def _load(self) -> UserTokens:
        stored = self._store.load(self._session)
        if stored is None:
            raise LoginRequired("there are no tokens for this session")
        return stored

    def _held_in(self, stored: UserTokens) -> Acquired | None:
        now = self._manager.clock.timestamp()
        for one in stored.access_tokens:
            if one.resource == self._key.resource and self._key.scope <= one.scope:
                received = one.received.timestamp()
                expires_in = one.expires_at - one.received if one.expires_at else None
                lease = self._manager.policy.lease(received, expires_in)
                # In its last quarter it is renewed now: that is what this call was started for.
                if now < lease.renew_from:
                    return Acquired(one.access_token, received, lease, fetched=False)
        return None

    def _renew(self, stored: UserTokens) -> Acquired:
        if stored.refresh_token is None:
            raise LoginRequired("the access token has ended and there is no refresh token")
        request = RefreshTokenRequest(
            refresh_token=stored.refresh_token,
            scope=self._key.scope or None,
            resource=tuple(sorted(self._key.resource)),
        )
        try:
            response = request_tokens(self._authority, self._identity, request)
        except TokenRefused as refusal:
            if refusal.error != "invalid_grant":
                raise
            return self._refused(stored)
        now = self._manager.clock.now()
        response = self._require_same_person(response, stored, now)
        ours = self._with(stored, response, now)
        renewed = self._replace(ours)
        # Somebody else renewed first and stored another pair: theirs is the one that lives.
        lost = renewed.refresh_token != ours.refresh_token
        adopted = self._held_in(renewed) if lost else None
        lease = self._manager.policy.lease(now.timestamp(), response.expires_in)
        return adopted or Acquired(response.access_token, now.timestamp(), lease)

    def _refused(self, used: UserTokens) -> Acquired:
        stored = self._load()
        if stored.version != used.version:
            adopted = self._held_in(stored)
            if adopted is not None:
                return adopted
            # Another process renewed a token of another API. Its refresh token is the live one.
            if stored.refresh_token != used.refresh_token:
                return self._renew(stored)
        self._store.forget(self._session)
        raise LoginRequired("the server does not renew this person's tokens any more")

    def _with(self, stored: UserTokens, response: TokenResponse, now: datetime) -> UserTokens:
        fresh = StoredToken(
            access_token=response.access_token,
            received=now,
            expires_at=now + response.expires_in if response.expires_in else None,
            scope=response.scope if response.scope is not None else self._key.scope,
            resource=self._key.resource,
        )
        others = (one for one in stored.access_tokens if one.resource != fresh.resource)
        return UserTokens(
            version=stored.version + 1,
            subject=stored.subject,
            # RFC 6749 §6: without a new one the old one goes on.
            refresh_token=response.refresh_token or stored.refresh_token,
            id_token=response.id_token or stored.id_token,
            access_tokens=(fresh, *others),
        )

    def _require_same_person(
        self, response: TokenResponse, stored: UserTokens, now: datetime
    ) -> TokenResponse:
        if response.id_token is None:
            return response
        try:
            # OIDC Core §12.2
            read = read_id_token(
                response.id_token,
                self._authority,
                self._identity,
                nonce=None,
                now=now,
                access_token=response.access_token,
            )
        except JoseError as refusal:
            raise TokenRefused("invalid_id_token", refusal.reason) from None
        if read.id_token.sub != stored.subject:
            raise TokenRefused("invalid_id_token", "the refreshed ID token is about another person")
        return replace(response, id_token=read.signed)

    def _replace(self, tokens: UserTokens) -> UserTokens:
        try:
            return self._store.replace(self._session, tokens)
        except KeyError:
            raise LoginRequired("the session ended meanwhile") from None
