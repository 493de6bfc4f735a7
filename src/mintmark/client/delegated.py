"""A signed-in person's tokens."""

from dataclasses import replace
from datetime import datetime
from typing import ClassVar, final

from mintmark.client.authority import Authority
from mintmark.client.errors import AuthorityUnavailable, LoginRequired, TokenRefused
from mintmark.client.held import Acquired
from mintmark.client.keys import DelegatedKey
from mintmark.client.manager import TokenManager
from mintmark.client.recipe import HeldRecipe
from mintmark.client.rotation import GENERATIONS, Rotation
from mintmark.client.sealed import name_of
from mintmark.client.stores import StoredToken, UserTokens, UserTokenStore
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.client.turns import Turn, take_turn
from mintmark.protocol.token import RefreshTokenRequest, TokenResponse
from mintmark.secret import Secret

__all__ = ["DelegatedToken"]


RENEWAL = frozenset({("renewal", "")})


@final
class DelegatedToken(HeldRecipe):
    """A signed-in person's token for one API, renewed with their refresh token."""

    _shared: ClassVar[bool] = False

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
        # Renewal spends the session's one refresh token, so it has one flight for all its APIs, and
        # one lease for all processes.
        whole = replace(key, scope=frozenset(), resource=frozenset(), extra=RENEWAL)
        self._renewal = manager.session_lock(whole)
        self._lease_name = name_of(whole, "renewal")
        self._rotation = Rotation(
            authority=authority,
            identity=identity,
            manager=manager,
            key=whole,
            session=session,
            store=store,
        )

    def forget(self, token: Secret) -> None:
        """An API refused exactly this one; the next call renews it."""
        # First here: with `refused` set, nobody takes it up again from a store that is away.
        super().forget(token)
        try:
            stored = self._store.load(self._session)
            if stored is None:
                return
            kept = tuple(one for one in stored.access_tokens if one.access_token != token)
            if kept != stored.access_tokens:
                ours = replace(stored, version=stored.version + 1, access_tokens=kept)
                self._store.replace(self._session, ours)
        except Exception:  # noqa: BLE001 -- every store has errors of its own
            return  # the session ended, or the store is away

    def _acquire(self) -> Acquired:
        patience = self._manager.policy.patience.total_seconds()
        if not self._renewal.lock.acquire(timeout=patience):
            raise AuthorityUnavailable("another renewal of this session takes too long")
        try:
            sharing = self._manager.sharing
            return take_turn(
                sharing.store if sharing else None,
                self._lease_name,
                lambda: self._held_in(self._rotation.load()),
                self._renew_in_turn,
                self._manager.policy,
            )
        finally:
            self._renewal.lock.release()

    def _held_in(self, stored: UserTokens, *, ahead: bool = True) -> Acquired | None:
        now, jkt = self._manager.clock.timestamp(), self._identity.thumbprint()
        for one in stored.access_tokens:
            if one.resource == self._key.resource and self._key.scope <= one.scope:
                # Bound to another key, or to none, it is not the token that is asked for.
                if one.access_token == self._slot.refused or one.jkt != jkt:
                    continue
                received = one.received.timestamp()
                expires_in = one.expires_at - one.received if one.expires_at else None
                hint = one.renew_at - one.received if one.renew_at else None
                lease = self._manager.policy.lease(received, expires_in, hint)
                # In its last quarter it is renewed now: that is what this call was started for.
                until = lease.renew_from if ahead else lease.usable_until
                if lease.usable_from <= now < until:
                    return Acquired(one.access_token, received, lease, fetched=False)
        return None

    def _renew_in_turn(self, turn: Turn) -> Acquired:
        stored = self._rotation.current()
        # Without the lease another process may spend the same refresh token at this moment. So it is
        # spent when there is no other way, and not ahead of time.
        ahead = turn.shared or self._manager.sharing is None
        if not ahead:
            self._require_reason()
        for _ in range(GENERATIONS):
            held = self._held_in(stored, ahead=ahead)
            if held is not None:
                return held
            renewed = self._renew(stored, turn)
            if isinstance(renewed, Acquired):
                return renewed
            stored = renewed  # another process renewed a token of another API
        raise AuthorityUnavailable("others renew this session without end")

    def _renew(self, stored: UserTokens, turn: Turn) -> Acquired | UserTokens:
        if stored.refresh_token is None:
            raise LoginRequired("the access token has ended and there is no refresh token")
        request = RefreshTokenRequest(
            refresh_token=stored.refresh_token,
            scope=self._key.scope or None,
            resource=tuple(sorted(self._key.resource)),
        )
        try:
            response = self._rotation.spend(stored, request, turn)
        except TokenRefused as refusal:
            if refusal.error != "invalid_grant":
                raise
            return self._rotation.refused(stored, turn)
        now = self._manager.clock.now()
        renewed = self._rotation.save(stored, response, now, self._with)
        # Somebody else renewed first and stored another pair: theirs is the one that lives.
        lost = all(one.access_token != response.access_token for one in renewed.access_tokens)
        adopted = self._held_in(renewed) if lost else None
        lease = self._manager.policy.lease(
            now.timestamp(), response.expires_in, response.refresh_in
        )
        return adopted or Acquired(response.access_token, now.timestamp(), lease)

    def _require_reason(self) -> None:
        held, now = self._slot.held, self._manager.clock.timestamp()
        if held is not None and held.lease.usable_from <= now < held.lease.usable_until:
            raise AuthorityUnavailable("the shared store is away; what is held still serves")

    def _with(self, stored: UserTokens, response: TokenResponse, now: datetime) -> UserTokens:
        fresh = StoredToken(
            access_token=response.access_token,
            received=now,
            expires_at=now + response.expires_in if response.expires_in else None,
            scope=response.scope if response.scope is not None else self._key.scope,
            resource=self._key.resource,
            renew_at=now + response.refresh_in if response.refresh_in else None,
            jkt=self._identity.thumbprint(),
        )
        others = (one for one in stored.access_tokens if one.resource != fresh.resource)
        return UserTokens(
            version=stored.version + 1,
            subject=stored.subject,
            # RFC 6749 §6: without a new one the old one goes on.
            refresh_token=response.refresh_token or stored.refresh_token,
            id_token=response.id_token or stored.id_token,
            access_tokens=(fresh, *others),
            proof_key=stored.proof_key,
        )
