"""Tokens of which no two are alike: what a guard is to forget as quickly as they come."""

import secrets

from tests.api.conftest import API, request_with
from tests.jose import forge

from mintmark.api import Gate, Refused
from mintmark.testing import FakeAuthority

__all__ = ["flood"]


async def flood(gate: Gate, authority: FakeAuthority, count: int) -> int:
    """Sends as many valid tokens, and beside each one every kind of refused one; gives the number
    of requests that were let in.

    Each has a subject, a scope, a header, a `kid` or a signature of its own.
    """
    admitted, now = 0, int(authority.clock.timestamp())
    known = {"iss": authority.issuer, "aud": API, "client_id": "web", "iat": now, "exp": now + 600}
    for _ in range(count):
        name = secrets.token_hex(8)
        # Not from the authority: the search for leaked secrets would remember each of them.
        own = {"sub": name, "jti": name, "scope": f"read {name}"}
        valid = forge.signed(known | own, authority.key)
        content, _, signature = valid.rpartition(".")
        payload = content.partition(".")[2]
        header = forge.segment(f'{{"alg":"ES256","typ":"at+jwt","kid":"{name}"}}'.encode())
        broken = f"{content}.{forge.segment(secrets.token_bytes(64))}"
        for token in (valid, broken, f"{header}.{payload}.{signature}", name, f"{name}.a.b"):
            try:
                await gate.require_caller(
                    request_with([(b"authorization", f"Bearer {token}".encode())])
                )
                admitted += 1
            except Refused:
                pass
    return admitted
