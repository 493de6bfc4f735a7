"""The guard's resident memory under a flood of tokens that never repeat: full caches, and no more.

The first tokens fill everything that remembers; what counts is how much is added after them, by ten
times as many. Half of the tokens are good, and half are wrong in one of the ways that reach deepest.
"""

import asyncio
import gc
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from mintmark.api import Gate, Refused
from mintmark.api.validate import MAX_REMEMBERED
from mintmark.events import Event
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.access_token import mint_access_token
from mintmark.testing import FakeAuthority

__all__ = ["main"]

FLOOD: Final = 200_000
FILL: Final = MAX_REMEMBERED * 3  # half of them are good: every cache has turned over once
STEPS: Final = 4
MAX_GROWTH: Final = 4.0  # MiB: what the allocator does not give back; a token kept is 1 KiB or more


class Unheard:
    """Takes events and keeps none, as a log elsewhere would."""

    def emit(self, event: Event) -> None:
        pass


def main() -> int:
    with FakeAuthority().serve() as authority:
        gate = Gate(
            authority.audience,
            issuer=authority.issuer,
            insecure_allow_http_on_loopback=True,
            events=Unheard(),
        )
        try:
            sizes = asyncio.run(flooded(gate, tokens_of(authority)))
        finally:
            gate.close()
    begin, full, *after = sizes
    print(f"memory of the guard under {FLOOD:,} distinct tokens, half of them wrong")
    print(f"  at the start             {begin:7.1f} MiB")
    print(f"  caches full, {FILL:7,}     {full:7.1f} MiB")
    for step, size in enumerate(after, 1):
        print(f"  after {FILL + (FLOOD - FILL) * step // STEPS:9,} tokens   {size:7.1f} MiB")
    growth = max(after) - full
    print(f"  grown since they are full {growth:6.1f} MiB (at most {MAX_GROWTH})")
    if growth > MAX_GROWTH:
        raise RuntimeError("the guard's memory grows with the tokens it is shown")
    return 0


async def flooded(gate: Gate, tokens: Iterator[tuple[bytes, bool]]) -> list[float]:
    """Resident MiB: at the start, with full caches, and after each step from there."""
    await show(gate, tokens, 100)
    sizes = [resident()]
    await show(gate, tokens, FILL - 100)
    sizes.append(resident())
    for _ in range(STEPS):
        await show(gate, tokens, (FLOOD - FILL) // STEPS)
        sizes.append(resident())
    return sizes


async def show(gate: Gate, tokens: Iterator[tuple[bytes, bool]], count: int) -> None:
    """Raises when a good token is refused or a wrong one let in."""
    for _ in range(count):
        token, good = next(tokens)
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/orders",
            "headers": [(b"host", b"api.example"), (b"authorization", b"Bearer " + token)],
            "state": {},
        }
        try:
            await gate.require_caller(scope)
        except Refused:
            if good:
                raise
        else:
            if not good:
                raise RuntimeError("a wrong token was let in")


def tokens_of(authority: FakeAuthority) -> Iterator[tuple[bytes, bool]]:
    """Good and wrong ones by turns, no two alike."""
    wrongs: tuple[Callable[[FakeAuthority], bytes], ...] = (
        changed,
        for_another,
        of_another_issuer,
        of_an_unknown_key,
        no_token,
    )
    while True:
        for wrong in wrongs:
            # Scopes differ, too: they are remembered by their text.
            scope = f"orders.read s{secrets.token_hex(8)}"
            yield authority.access_token(scope=scope).reveal().encode(), True
            yield wrong(authority), False


def changed(authority: FakeAuthority) -> bytes:
    head, payload, signature = authority.access_token().reveal().split(".")
    return f"{head}.{payload}.{signature[::-1]}".encode()


def for_another(authority: FakeAuthority) -> bytes:
    return authority.access_token(aud=("https://other.example",)).reveal().encode()


def of_another_issuer(authority: FakeAuthority) -> bytes:
    return minted(authority, authority.key, f"https://{secrets.token_hex(8)}.example")


def of_an_unknown_key(authority: FakeAuthority) -> bytes:
    """Signed by the right key under a name that nobody published."""
    named = SigningKey.from_pkcs8(authority.key.to_pkcs8(), Algorithm.ES256, secrets.token_hex(8))
    return minted(authority, named, authority.issuer)


def minted(authority: FakeAuthority, key: SigningKey, issuer: str) -> bytes:
    return (
        mint_access_token(
            iss=issuer,
            sub="bench",
            aud=(authority.audience,),
            client_id="bench",
            scope=frozenset(),
            jti=secrets.token_hex(16),
            now=authority.clock.now(),
            lifetime=authority.lifetime,
            key=key,
        )
        .reveal()
        .encode()
    )


def no_token(_: FakeAuthority) -> bytes:
    """Three segments, and nothing in them that can be read."""
    return b".".join(secrets.token_urlsafe(48).encode() for _ in range(3))


def resident() -> float:
    """MiB that this process holds, its garbage collected."""
    gc.collect()
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("the system does not say how much memory this process holds")
    return int(found.group(1)) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
