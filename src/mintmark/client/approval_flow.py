"""What sign-ins that are approved on another device have in common, whichever way they begin."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from mintmark.client.approval import (
    Approved,
    Asking,
    Cancel,
    Pace,
    await_approval,
    wait_for_approval,
)
from mintmark.client.authority import Authority
from mintmark.client.bound import Binding, bound_to, new_proof_key
from mintmark.client.errors import AuthorityUnavailable, LoginFailed
from mintmark.client.token_endpoint import ClientIdentity, TokenMessage, refusal_of
from mintmark.clock import Clock
from mintmark.protocol.polling import UnreadableAnswer
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["ApprovalFlow", "Begun"]


class Begun(Protocol):
    """A sign-in that somebody is asked to approve."""

    @property
    def expires_at(self) -> datetime: ...
    @property
    def interval(self) -> timedelta: ...
    @property
    def proof_key(self) -> Secret | None: ...


B = TypeVar("B", bound=Begun)
R = TypeVar("R")


class ApprovalFlow(Generic[B]):
    """Begins and finishes sign-ins of one client; it remembers nothing between the two."""

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        clock: Clock,
        *,
        scope: Scope,
        resource: frozenset[str],
        binding: Binding | None = None,
    ) -> None:
        self._authority = authority
        self._identity = identity
        self._clock = clock
        self._scope = scope
        self._resource = resource
        self._binding = binding

    @abstractmethod
    def _request(self, begun: B) -> TokenMessage:
        """The question whether somebody has approved meanwhile."""

    def wait(self, begun: B, *, cancelled: Cancel | None = None) -> Approved:
        """Until the person has approved, refused, or let the time pass.

        Args:
            cancelled: a `threading.Event`; once it is set, the wait is over.

        Raises:
            LoginFailed: `ApprovalDenied`, `ApprovalExpired`, `ApprovalCancelled`, or a refusal.
        """
        return wait_for_approval(self._asking(begun), self._pace(begun), cancelled)

    async def await_(
        self, begun: B, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> Approved:
        """The same for a coroutine; cancel its task to give up."""
        return await await_approval(self._asking(begun), self._pace(begun), sleep)

    def _posted(
        self, endpoint: str, parameters: list[tuple[str, str]], parse: Callable[[bytes], R]
    ) -> R:
        """What the server says to a sign-in that begins. Raises `AuthorityUnavailable`, `LoginFailed`."""
        fetched = self._identity.post(self._authority, endpoint, parameters)
        if fetched.status != 200:
            refusal = refusal_of(fetched)
            if isinstance(refusal, AuthorityUnavailable):
                raise refusal
            raise LoginFailed(f"the server refused: {refusal.error}", refusal.error)
        try:
            return parse(fetched.body)
        except UnreadableAnswer as failure:
            raise LoginFailed(str(failure)) from None

    def _new_proof_key(self) -> Secret | None:
        return new_proof_key(self._binding)

    def _pace(self, begun: B) -> Pace:
        now = self._clock.now()
        return Pace(interval=begun.interval, expires_in=begun.expires_at - now, now=now.timestamp())

    def _asking(self, begun: B) -> Asking:
        identity = bound_to(
            self._identity, self._authority, self._binding, begun.proof_key, self._clock
        )
        return Asking(
            authority=self._authority,
            identity=identity,
            clock=self._clock,
            request=self._request(begun),
            scope=self._scope,
            resource=self._resource,
            proof_key=begun.proof_key,
        )
