"""A token that is got by giving another: one for each person, and never another person's."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from mintmark.client.attachable import Attachable
from mintmark.client.authority import Authority
from mintmark.client.binding import Sender
from mintmark.client.errors import LoginRequired, TokenUnavailable
from mintmark.client.keys import SubjectKey
from mintmark.client.long_running import LongRunning
from mintmark.client.manager import Acquired, Slot, TokenManager
from mintmark.client.recipe import held_details, require_scope
from mintmark.client.renewal import Lease
from mintmark.client.subject import Subject, SubjectToken, current_subject
from mintmark.client.token_endpoint import ClientIdentity, TokenMessage, judge
from mintmark.fetch import Fetched, FetchPolicy
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret

__all__ = ["Place", "SubjectRecipe"]

Place = tuple[Slot, Callable[[], Acquired]]
"""Where a call's token is held, and how it is fetched."""

Parties = tuple[SubjectToken, SubjectToken | None]
"""Whom it is about, and who acts."""

NOT_OF_ACCESS_TOKENS = frozenset({"openid", "offline_access"})
"""They ask for other tokens; servers do not count them among what an access token may do."""


class SubjectRecipe(Attachable):
    """Looks for the subject anew at every call; equal requests for one subject share one token."""

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        manager: TokenManager,
        key: SubjectKey,
        subject: Subject,
        *,
        actor: Subject | None = None,
        long_running: LongRunning | None = None,
    ) -> None:
        self._authority = authority
        self._identity = identity
        self._manager = manager
        self._key = key
        self._subject = subject
        self._actor = actor
        self._long_running = long_running

    @abstractmethod
    def _request(self, subject: Secret, actor: Secret | None) -> TokenMessage:
        """The token request."""

    def token(self) -> Secret:
        """For threads. Raises `TokenUnavailable`."""
        return self._manager.get(*self._place())

    async def atoken(self) -> Secret:
        """For coroutines. Raises `TokenUnavailable`."""
        return await self._manager.aget(*await self._aplace())

    def forget(self, token: Secret) -> None:
        """An API refused exactly this one; the next call fetches another."""
        if self._long_running is not None:
            self._long_running.forget(token)
        # Without a caller there is no saying whose it was; nobody is handed it either. And where an
        # actor's token cannot be had, the API's refusal is what the caller has to hear of.
        with suppress(TokenUnavailable):
            self._manager.forget(self._place()[0], token)

    def authorization_details(self) -> AuthorizationDetails:
        """What the server granted with the held token (RFC 9396 §7); fetches one if there is none.

        Raises:
            TokenUnavailable.
        """
        slot, acquire = self._place()
        return held_details(slot, self._manager.get(slot, acquire))

    def end(self) -> None:
        """The long-running work is over: its refresh token and what is held of it are dropped."""
        if self._long_running is None:
            raise ValueError("there is no session that could end")
        self._long_running.end()
        digest = self._long_running.digest
        self._manager.drop(
            lambda held: (
                isinstance(held, SubjectKey)
                and replace(held, jkt="") == replace(self._key, subject=digest)
            ),
            own=digest,
        )

    @property
    def sender(self) -> Sender | None:
        """What the token is bound to."""
        return self._identity.sender

    def _slot(self, subject: bytes, actor: bytes = b"", *, shared: bool = True) -> Slot:
        jkt = self._identity.thumbprint()
        key = replace(self._key, subject=subject, actor=actor, jkt=jkt)
        return self._manager.slot(key, shared=shared)

    def _bounds(self) -> tuple[frozenset[str], FetchPolicy]:
        return self._key.resource, self._authority.fetcher.policy

    async def _aplace(self) -> Place:
        # An actor's token is fetched and a key may be, which may wait; a thread of its own sees the
        # same context.
        waits = callable(self._actor) or (self.sender is not None and not self.sender.at_once)
        return await asyncio.to_thread(self._place) if waits else self._place()

    def _place(self) -> Place:
        if self._long_running is not None:
            # The actor is not part of this key: it changes with each of its tokens, and the work
            # goes on with the refresh token, which has nothing to do with them.
            # Nor is it shared but by its own store: from there it is gone when the session ends.
            slot = self._slot(self._long_running.digest, shared=False)
            return slot, partial(self._go_on, self._long_running, self._present())
        parties = self._parties()
        subject, actor = (one.token.digest() if one else b"" for one in parties)
        return self._slot(subject, actor), partial(self._acquire, parties)

    def _parties(self) -> Parties:
        now = self._manager.clock.timestamp()
        actor = None if self._actor is None else current_subject(self._actor, now)
        return current_subject(self._subject, now), actor

    def _present(self) -> Parties | TokenUnavailable:
        # Work that goes on after the person has left does not need their token any more.
        try:
            return self._parties()
        except TokenUnavailable as nobody:
            return nobody

    def _acquire(self, parties: Parties) -> Acquired:
        return self._acquired(self._ask(parties), _end(parties))

    def _go_on(self, work: LongRunning, parties: Parties | TokenUnavailable) -> Acquired:
        try:
            return work.renewed()
        except LoginRequired:
            if isinstance(parties, TokenUnavailable):
                raise parties.again() from None
        response = self._ask(parties)
        if response.refresh_token is None:
            # Nothing to go on with: this token ends with the person's own.
            return self._acquired(response, _end(parties))
        work.begin(response, self._manager.clock.now())
        return self._acquired(response, None)

    def _ask(self, parties: Parties) -> TokenResponse:
        subject, actor = parties
        request = self._request(subject.token, actor.token if actor else None)
        parameters = request.parameters()
        response = self._judge(self._identity.post(self._authority, "token_endpoint", parameters))
        require_scope(response, self._required_scope())
        return response

    def _judge(self, fetched: Fetched) -> TokenResponse:
        return judge(fetched, self._identity.token_type)

    def _required_scope(self) -> Scope:
        return self._key.scope - NOT_OF_ACCESS_TOKENS

    def _acquired(self, response: TokenResponse, end: datetime | None) -> Acquired:
        now = self._manager.clock.timestamp()
        lease = self._manager.policy.lease(now, response.expires_in, response.refresh_in)
        capped = lease if end is None else _capped(lease, end.timestamp())
        details = response.authorization_details
        return Acquired(response.access_token, now, capped, details=details)


def _end(parties: Parties) -> datetime | None:
    ends = [one.expires_at for one in parties if one is not None]
    return min((end for end in ends if end is not None), default=None)


def _capped(lease: Lease, end: float) -> Lease:
    # Handed out until that very moment: the token itself lives longer, so no slack is needed, and
    # a renewal shortly before it would bring nothing that lasts.
    return Lease(
        lease.usable_from,
        min(lease.renew_from, end),
        min(lease.usable_until, end),
        min(lease.expires_at, end),
    )
