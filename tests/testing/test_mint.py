"""Tokens of the mint: honest ones are taken, each broken one is refused, and all of them as `auth`."""

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from mintmark.api import AUTHENTICATED, Gate, TrustedIssuer
from mintmark.api.dpop import DPoP
from mintmark.jose.base64url import encode
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.mint import BREAKAGES, Mint
from mintmark.testing.sealing import seal

API = "https://api.example"


async def who(scope: Any, receive: Any, send: Any) -> None:
    caller = scope["state"]["mintmark.caller"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{caller.kind} {caller.subject}".encode()})


@pytest.fixture
def mint(authority: FakeAuthority, clock: FrozenClock) -> Mint:
    authority.clock = clock
    return Mint(authority, audience=API)


@pytest.fixture
def gate(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Gate]:
    trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
    gate = Gate(API, issuers=[trusted], clock=clock, dpop=DPoP(nonce="never"))
    yield gate
    gate.close()


async def ask(gate: Gate, *auth: httpx2.Auth) -> list[tuple[int, str]]:
    transport = httpx2.ASGITransport(gate.wrap(who, {"/orders": AUTHENTICATED}))
    async with httpx2.AsyncClient(transport=transport, base_url=API) as http:
        answers = [await http.get("/orders?page=1", auth=one) for one in auth]
    return [(answer.status_code, answer.text) for answer in answers]


async def test_a_token_is_an_auth_for_httpx2(gate: Gate, mint: Mint) -> None:
    """RFC 9068 §2.2, RFC 8693 §4.1."""
    taken = await ask(
        gate, mint.application(), mint.delegated("bob"), mint.on_behalf("eve", "helper")
    )

    assert [status for status, _ in taken] == [200, 200, 200]
    assert taken[:2] == [(200, "application nightly"), (200, "delegated bob")]


async def test_a_bound_token_comes_with_a_proof_for_each_request(gate: Gate, mint: Mint) -> None:
    """RFC 9449 §4.2, RFC 7638 §3."""
    token = mint.delegated().dpop()
    answers = await ask(gate, token, token, token.as_bearer())

    assert [status for status, _ in answers] == [200, 200, 401]


async def test_a_replayed_proof_works_once(gate: Gate, mint: Mint) -> None:
    token = mint.delegated().dpop().replayed()

    assert [status for status, _ in await ask(gate, token, token)] == [200, 401]


@pytest.mark.parametrize("how", sorted(BREAKAGES))
async def test_every_breakage_breaks(gate: Gate, mint: Mint, how: str) -> None:
    assert (await ask(gate, mint.delegated().broken(how)))[0][0] == 401


async def test_an_expired_token_is_refused(gate: Gate, mint: Mint) -> None:
    assert (await ask(gate, mint.delegated().expired()))[0][0] == 401


def test_a_breakage_has_a_name(mint: Mint) -> None:
    with pytest.raises(ValueError, match="'nonsense' is none of"):
        mint.delegated().broken("nonsense")


def test_a_certificate_comes_along_in_its_header(mint: Mint) -> None:
    """RFC 9440 §2.2, RFC 8941 §3.3.5: between colons."""
    token = mint.delegated().cert(b"DER")

    assert token.payload["cnf"] == {"x5t#S256": encode(hashlib.sha256(b"DER").digest())}
    assert ("client-cert", ":REVS:") in token.headers()
    assert len(token.as_bearer().headers()) == 1


def test_an_encrypted_token_has_five_segments(mint: Mint) -> None:
    assert mint.delegated().encrypted(seal).text.count(".") == 4


def test_an_opaque_token_is_known_to_its_issuer_alone(mint: Mint) -> None:
    assert "." not in mint.opaque().text


def test_how_and_when_somebody_signed_in(mint: Mint, clock: FrozenClock) -> None:
    payload = mint.delegated(acr="phr", auth_age=60).payload

    assert payload["acr"] == "phr"
    assert payload["auth_time"] == clock.timestamp() - 60


def test_a_token_has_one_text_and_shows_none_of_it(mint: Mint) -> None:
    token = mint.delegated()

    assert token.text == token.text
    assert token.text != mint.delegated().text
    assert "eyJ" not in repr(token)
    assert "alice" not in repr(token)
