"""How long a token is handed out, and when the next one is fetched."""

import random
from dataclasses import dataclass
from datetime import timedelta

__all__ = ["EARLIER", "Lease", "RenewalPolicy"]

ASSUMED_LIFETIME = timedelta(minutes=1)
"""For a server that does not say. A minute is lost at most, and nothing is believed for ever."""

JITTERS = 256
"""So many moments for a renewal to begin at. Tokens whose lease has the same lengths share them."""

EARLIER = 60.0
"""Seconds by which something may have happened in the future: clocks of two machines disagree so
much, and a clock that was set back by more must not make anything last longer."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Moments of a held token, in seconds since 1970."""

    usable_from: float  # before this the clock was set back, and nothing is known of its age
    renew_from: float  # a new one is fetched in the background from here
    usable_until: float  # it is handed out until here, and then somebody waits
    expires_at: float  # until here it serves as a last resort, while the server is down


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalPolicy:
    """The figures; the defaults are safe to keep."""

    slack_share: float = 0.10
    """Of the lifetime: a token this close to its end is not handed out any more. It covers the
    call itself, and two clocks that disagree."""

    min_slack: timedelta = timedelta(seconds=10)
    max_slack: timedelta = timedelta(minutes=5)

    jitter_share: float = 0.20
    """Of the slack: by up to this much the background renewal begins earlier, so that a hundred
    processes that started together do not renew together."""

    background_share: float = 0.25
    """Of the lifetime, its end: in this part a call fetches the next token and waits for nothing."""

    first_pause: timedelta = timedelta(seconds=1)
    """After a failure nobody asks again for this long; doubled each time, up to `longest_pause`."""

    longest_pause: timedelta = timedelta(seconds=60)
    longest_retry_after: timedelta = timedelta(hours=1)
    patience: timedelta = timedelta(seconds=15)
    """How long a caller waits for somebody else's fetch."""

    turn: timedelta = timedelta(seconds=10)
    """With a shared store: how long one process may fetch for all without a sign of life. A
    process that was killed holds the others up for so long."""

    turn_renewed_every: timedelta = timedelta(seconds=3)

    def slack(self, lifetime: timedelta) -> timedelta:
        """How long before its expiry a token counts as used up."""
        return min(max(lifetime * self.slack_share, self.min_slack), self.max_slack)

    def lease(
        self,
        received: float,
        expires_in: timedelta | None,
        refresh_in: timedelta | None = None,
    ) -> Lease:
        """When to do what with a token that arrived at `received` (seconds since 1970).

        `usable_until` is `received` when the slack swallows the whole lifetime: such a token
        serves the call it was fetched for and is not kept. `refresh_in` is a server's own word
        for when the next one should be fetched (Microsoft's servers say it); it can put the
        background renewal earlier or later, never the moment up to which a token is used.

        Source: RFC 6749 §5.1, where `expires_in` is RECOMMENDED, not REQUIRED.
        """
        lifetime = ASSUMED_LIFETIME if expires_in is None else expires_in
        slack = self.slack(lifetime)
        expires_at = received + lifetime.total_seconds()
        usable_until = max(received, expires_at - slack.total_seconds())
        jitter = slack.total_seconds() * self.jitter_share * random.randrange(JITTERS) / JITTERS  # noqa: S311 -- no secret
        background = expires_at - lifetime.total_seconds() * self.background_share
        if refresh_in is not None:
            background = received + refresh_in.total_seconds()
        renew_from = min(max(background - jitter, received), usable_until)
        return Lease(received - EARLIER, renew_from, usable_until, expires_at)

    def pause(self, failures: int, retry_after: timedelta | None) -> timedelta:
        """How long to leave the server alone after so many failures in a row."""
        if retry_after is not None and retry_after > timedelta(0):
            return min(retry_after, self.longest_retry_after)
        doubled: timedelta = self.first_pause * 2 ** min(failures - 1, 16)
        return min(doubled, self.longest_pause)
