"""The rules of a token on a request, whichever library sends it.

A token goes to the origins it is for, looked at when the request is about to be sent, and without
a token nothing is sent. After a 401 that says `invalid_token` exactly that token is forgotten and
another fetched, once, and the request is repeated if its body can be. An answer that asks for more
scope, or for another sign-in, is never repeated: such a token would be refused again. Nothing is
held while an API answers.

This module knows no HTTP library. `auth.py`, `httpx_auth.py`, `prepared.py` and
`aiohttp_auth.py` say what a request and an answer are; what is to be done is said here alone.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, final

from mintmark.client.errors import OriginNotAllowed, StepUpRequired, TokenRejected
from mintmark.client.step_up import require_enough
from mintmark.fetch import FetchPolicy, FetchRefused, require_safe_url
from mintmark.protocol.challenge import Challenge, parse_challenges
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.client.binding import Sender
    from mintmark.client.recipe import Recipe

__all__ = ["ABOUT_THE_TOKEN", "Answer", "Attachment", "Url", "header_with", "origin_of"]

PORTS = {"https": 443, "http": 80}

ABOUT_THE_TOKEN = frozenset({401, 403})
"""Only these need to be looked at; any other answer is the caller's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says about the token that was sent."""

    url: str  # whose answer it is, which after a redirect is not where the request went first
    status: int
    challenges: Sequence[str]  # its `WWW-Authenticate` fields
    nonce: str | None = None  # its `DPoP-Nonce` field


class Url(Protocol):
    """An address in the form that httpx2 and httpx give it: lower case, IDNA, no default port."""

    @property
    def scheme(self) -> str: ...
    @property
    def userinfo(self) -> bytes: ...
    @property
    def raw_host(self) -> bytes: ...
    @property
    def port(self) -> int | None: ...


@final
class Attachment:
    """One recipe's token, and where it may go."""

    __slots__ = ("_origins", "_own_places", "_policy", "recipe", "sender")

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        self.recipe = recipe
        self._origins = frozenset(origin_of(origin, policy) for origin in origins)
        self._policy = policy
        self._own_places: set[tuple[str, bytes, int | None, bytes]] = set()
        self.sender: Sender | None = getattr(recipe, "sender", None)
        if not self._origins:
            raise ValueError("a token needs a resource or origins: it must not go just anywhere")

    def require_own(self, url: str) -> str:
        """The origin of an address the token may go to.

        Raises:
            OriginNotAllowed: it may not; the caller sends nothing.
        """
        origin = origin_of(url, self._policy)
        if origin not in self._origins:
            raise OriginNotAllowed(f"this token is not for {origin}")
        return origin

    def require_own_url(self, url: Url) -> None:
        """The same for an address that a library has taken apart already.

        It connects to these very parts. So they are compared, whole, for every request; only what
        they were proved to be is remembered. Of one origin there are few spellings left by then.

        Raises:
            OriginNotAllowed
        """
        place = url.scheme, url.raw_host, url.port, url.userinfo
        if place not in self._own_places:
            self.require_own(str(url))
            self._own_places.add(place)

    def is_own(self, url: str) -> bool:
        """Whether an answer is of an API that the token is for."""
        try:
            self.require_own(url)
        except OriginNotAllowed:
            return False
        return True

    def token_for(self, url: str) -> Secret:
        """The token of a request that is about to be sent there.

        Raises:
            OriginNotAllowed: before a token is even fetched.
            TokenUnavailable: and the caller sends nothing.
        """
        self.require_own(url)
        return self.recipe.token()

    async def atoken_for(self, url: str) -> Secret:
        """The same for a coroutine."""
        self.require_own(url)
        return await self.recipe.atoken()

    def renewed(self, answer: Answer, used: Secret, *, replayable: bool) -> Secret | None:
        """Another token to repeat the request with; None if the answer is the caller's.

        Args:
            used: the token that the request carried.
            replayable: whether the request can be sent again as it was. If not, its token is
                forgotten all the same: it would fail the next call too.

        Raises:
            StepUpRequired: the API wants more than this token can do.
            TokenUnavailable: there is no other token.
        """
        if not self._refuses(answer):
            return None
        self.recipe.forget(used)
        return self.recipe.token() if replayable else None

    async def arenewed(self, answer: Answer, used: Secret, *, replayable: bool) -> Secret | None:
        """The same for a coroutine."""
        if not self._refuses(answer):
            return None
        # In a thread: a person's tokens are in a store, which may wait.
        await asyncio.to_thread(self.recipe.forget, used)
        return await self.recipe.atoken() if replayable else None

    def require_accepted(self, answer: Answer) -> None:
        """The answer to the repeated request is the last one.

        Raises:
            StepUpRequired: the API wants more than this token can do.
            TokenRejected: it refused the fresh token as well.
        """
        if self._refuses(answer):
            raise TokenRejected("the API refused a fresh token as well")

    @property
    def scheme(self) -> str:
        return self.sender.scheme if self.sender else "Bearer"

    def wants_nonce(self, answer: Answer) -> bool:
        """Whether the API refused a proof for want of its nonce (RFC 9449 §9)."""
        return answer.status == 401 and any(
            challenge.is_for("DPoP") and challenge.parameters.get("error") == "use_dpop_nonce"
            for challenge in self._challenges(answer)
        )

    def _refuses(self, answer: Answer) -> bool:
        challenges = self._challenges(answer)
        try:
            require_enough(answer.status, challenges)
        except StepUpRequired as wanted:
            wanted.is_personal = getattr(self.recipe, "is_personal", True)
            raise
        return answer.status == 401 and any(
            challenge.is_for(self.scheme) and challenge.parameters.get("error") == "invalid_token"
            for challenge in challenges
        )

    def _challenges(self, answer: Answer) -> tuple[Challenge, ...]:
        if answer.status not in ABOUT_THE_TOKEN:
            return ()
        if not self.is_own(answer.url):
            # A redirect led elsewhere, without the token. What they say there is not about it, and
            # must not make us throw it away.
            return ()
        return parse_challenges(answer.challenges)


def origin_of(url: str, policy: FetchPolicy) -> str:
    """Scheme, host and port, all spelled out.

    Raises:
        OriginNotAllowed: a token never goes to such an address.
    """
    try:
        parts = require_safe_url(url, policy)
    except FetchRefused as refusal:
        raise OriginNotAllowed(refusal.reason) from None
    return f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


def header_with(token: Secret, scheme: str = "Bearer") -> str:
    """The value of `Authorization` (RFC 6750 §2.1, RFC 9449 §7.1)."""
    return f"{scheme} {token.reveal()}"
