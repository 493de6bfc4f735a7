"""One request of a caller's, and what is repeated of it: once for a nonce, once for a token."""

import asyncio
from dataclasses import dataclass
from typing import final

from mintmark.client.attachment import ABOUT_THE_TOKEN, Answer, Attachment, header_with
from mintmark.client.binding import Proof, Sender
from mintmark.client.errors import ProofRejected
from mintmark.secret import Secret

__all__ = ["Carried", "Sending", "carried_before"]


@dataclass(frozen=True, slots=True)
class Carried:
    """What one attempt carries."""

    token: Secret
    authorization: Secret
    dpop: str | None
    nonce: str | None

    def __repr__(self) -> str:
        return f"<Carried {self.token!r}>"


def carried_before(token: Secret) -> Carried:
    """For a library that carries the token itself: what was sent, seen from its answer."""
    return Carried(token, token, None, None)


@final
class Sending:
    """The attempts of one request. Every one has a proof of its own, made as it is sent."""

    __slots__ = ("_asked_for_nonce", "_attachment", "_carried", "_renewed")

    def __init__(self, attachment: Attachment, carried: Carried | None = None) -> None:
        self._attachment = attachment
        self._carried = carried
        self._asked_for_nonce = self._renewed = False

    def first(self, method: str, url: str) -> Carried:
        """Raises `OriginNotAllowed`, `TokenUnavailable`: the caller sends nothing."""
        return self._with(self._attachment.token_for(url), method, url)

    async def afirst(self, method: str, url: str) -> Carried:
        """The same for a coroutine."""
        return await self._awith(await self._attachment.atoken_for(url), method, url)

    def carrying(self, method: str, url: str) -> Carried:
        """The same token once more, with a proof for another address of its API.

        Raises:
            OriginNotAllowed
        """
        assert self._carried is not None
        self._attachment.require_own(url)
        return self._with(self._carried.token, method, url)

    async def acarrying(self, method: str, url: str) -> Carried:
        """The same for a coroutine."""
        assert self._carried is not None
        self._attachment.require_own(url)
        return await self._awith(self._carried.token, method, url)

    def again(self, answer: Answer, method: str, url: str, *, replayable: bool) -> Carried | None:
        """What to repeat the request with; None if the answer is the caller's.

        Raises:
            InsufficientScope, TokenRejected, ProofRejected, TokenUnavailable.
        """
        sent, sender = self._require_sent(), self._attachment.sender
        fresh = sender.learn(answer.url, answer.nonce) if sender and self._speaks(answer) else None
        if answer.status not in ABOUT_THE_TOKEN:
            return None
        if self._attachment.wants_nonce(answer):
            once = self._once(fresh, replayable)
            return self._with(sent.token, method, url) if once else None
        if self._renewed:
            self._attachment.require_accepted(answer)
            return None
        token = self._attachment.renewed(answer, sent.token, replayable=replayable)
        self._renewed = token is not None
        return self._with(token, method, url) if token is not None else None

    async def aagain(
        self, answer: Answer, method: str, url: str, *, replayable: bool
    ) -> Carried | None:
        """The same for a coroutine."""
        sent, sender = self._require_sent(), self._attachment.sender
        fresh = await self._alearn(sender, answer) if sender and self._speaks(answer) else None
        if answer.status not in ABOUT_THE_TOKEN:
            return None
        if self._attachment.wants_nonce(answer):
            once = self._once(fresh, replayable)
            return await self._awith(sent.token, method, url) if once else None
        if self._renewed:
            self._attachment.require_accepted(answer)
            return None
        token = await self._attachment.arenewed(answer, sent.token, replayable=replayable)
        self._renewed = token is not None
        return await self._awith(token, method, url) if token is not None else None

    def _require_sent(self) -> Carried:
        assert self._carried is not None
        return self._carried

    def _speaks(self, answer: Answer) -> bool:
        # What another origin says, where a redirect led, is not kept: it never saw the key.
        return answer.nonce is not None and self._attachment.is_own(answer.url)

    def _once(self, fresh: str | None, replayable: bool) -> bool:
        if self._asked_for_nonce:
            # RFC 9449 §9. Not again: such an API would have us send the request for ever.
            raise ProofRejected("the API refused a proof with the nonce it had given")
        self._asked_for_nonce = True
        sent = self._require_sent()
        return replayable and fresh is not None and fresh != sent.nonce

    def _with(self, token: Secret, method: str, url: str) -> Carried:
        sender = self._attachment.sender
        return self._carry(token, sender.prove(method, url, token) if sender else Proof())

    async def _awith(self, token: Secret, method: str, url: str) -> Carried:
        sender = self._attachment.sender
        if sender is None or sender.at_once:
            return self._with(token, method, url)
        # In a thread: nonces may be in a store that waits.
        return self._carry(token, await asyncio.to_thread(sender.prove, method, url, token))

    async def _alearn(self, sender: Sender, answer: Answer) -> str | None:
        if sender.at_once:
            return sender.learn(answer.url, answer.nonce)
        return await asyncio.to_thread(sender.learn, answer.url, answer.nonce)

    def _carry(self, token: Secret, proof: Proof) -> Carried:
        value = Secret(header_with(token, self._attachment.scheme))
        self._carried = Carried(token, value, proof.headers.get("dpop"), proof.nonce)
        return self._carried
