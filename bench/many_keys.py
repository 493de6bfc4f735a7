"""100,000 tokens in memory: how much they take, and whether handing one out takes longer for it.

Filled without a network, by a recipe that makes its tokens up; each is of a size that a signed one has.
"""

import secrets
import time
from dataclasses import replace
from datetime import timedelta
from typing import Final

from bench.measure import Timing, interleaved, ratio
from bench.memory import resident
from mintmark.client import Client, TokenManager
from mintmark.client.application import ApplicationToken
from mintmark.client.manager import Acquired
from mintmark.client.recipe import HeldRecipe
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority

__all__ = ["main"]

KEYS: Final = 100_000
OCTETS: Final = 512  # of a token: ES256, five claims
AT_MOST: Final = 100.0  # MB
FLAT: Final = 1.5  # times as long as with one key: caches of the processor, and no more


class MadeUp(HeldRecipe):
    """Holds tokens as every recipe does, and needs no server."""

    def _acquire(self) -> Acquired:
        lease = self._manager.policy.lease(time.time(), timedelta(days=1))
        return Acquired(Secret(secrets.token_hex(OCTETS // 2)), time.time(), lease)


def main() -> int:
    with FakeAuthority().serve() as authority:
        manager = TokenManager()
        client = authority.client("bench", tokens=manager)
        few = made_up(client, manager, 0)
        alone = timing(few)
        begin = resident()
        for number in range(1, KEYS + 1):
            made_up(client, manager, number).token()
        grown, held = resident() - begin, len(manager.snapshot())
        crowded = timing(made_up(client, manager, KEYS // 2))
        client.close()
    return report(held, grown, alone, crowded)


def report(held: int, mebibytes: float, alone: Timing, crowded: Timing) -> int:
    grown = mebibytes * 1.048576
    print(f"{held:,} tokens of {OCTETS} octets in memory")
    print(f"  all of them              {grown:8.1f} MB, at most {AT_MOST:.0f} wanted")
    print(f"  of which no token        {grown - held * OCTETS / 1e6:8.1f} MB")
    print(f"  hand-out with one key    {alone}")
    print(f"  with all                 {crowded}  {ratio(crowded, alone)}")
    missed = grown > AT_MOST or crowded.median > FLAT * alone.median or held < KEYS
    print("  MISSED" if missed else "  all that was wanted is kept")
    return int(missed)


def made_up(client: Client, manager: TokenManager, number: int) -> MadeUp:
    """One for each of so many APIs, which is another key."""
    real = client.app_token(scope="orders.read", resource="https://api.example")
    assert isinstance(real, ApplicationToken)
    key = replace(real._slot.key, resource=frozenset({f"https://api-{number}.example"}))  # type: ignore[type-var]  # -- a key is a dataclass  # noqa: SLF001 -- a key for each, without a request for each
    return MadeUp(client.authority, real._identity, manager, key)  # noqa: SLF001 -- as above


def timing(recipe: HeldRecipe) -> Timing:
    recipe.token()
    return interleaved({"one": recipe.token}, calls=20_000)["one"]


if __name__ == "__main__":
    raise SystemExit(main())
