"""The whole gate under changed tokens and proofs: one of its answers, and never a failure of its own.

A foreign exception behind the gate would be answered with 503, as an outage is; so it is the event
that is looked for, which tells the two apart.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.conftest import API, request_with
from tests.api.readers import altered, members
from tests.jose import forge
from tests.protocol import test_dpop as proofs

from mintmark.api import DPoP, Gate, Refused, TrustedIssuer
from mintmark.api.events import GuardFailed
from mintmark.events import Event
from mintmark.protocol.dpop import access_token_hash
from mintmark.testing import FakeAuthority, FrozenClock

ONCE = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


class Fuzzed:
    """A gate, and what it said of itself."""

    def __init__(self, authority: FakeAuthority, clock: FrozenClock) -> None:
        authority.clock = clock
        self.authority, self.heard = authority, list[Event]()
        trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
        self.gate = Gate(API, issuers=[trusted], dpop=DPoP(), clock=clock, events=self)
        self.now = int(clock.timestamp())
        self.claims: dict[str, Any] = {
            "iss": authority.issuer, "aud": API, "sub": "alice", "client_id": "web", "jti": "1",
            "iat": self.now, "exp": self.now + 600, "scope": "a b", "acr": "x", "amr": ["pwd"],
            "auth_time": self.now, "act": {"sub": "b"}, "roles": ["r"], "groups": ["g"], "nbf": self.now,
            "authorization_details": [{"type": "t"}], "cnf": {"jkt": forge.ES256.public.thumbprint()},
        }  # fmt: skip

    def emit(self, event: Event) -> None:
        self.heard.append(event)

    def signed(self, body: bytes) -> bytes:
        return forge.signed(body, self.authority.key).encode()

    def ask(self, *headers: tuple[bytes, bytes]) -> int:
        """The status of a request with these headers."""
        try:
            asyncio.run(self.gate.require_caller(request_with(list(headers))))
        except Refused as refused:
            status = refused.answer.status
        else:
            status = 200
        assert [event for event in self.heard if isinstance(event, GuardFailed)] == []
        return status


@pytest.fixture
def fuzzed(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Fuzzed]:
    made = Fuzzed(authority, clock)
    yield made
    made.gate.close()


@ONCE
@given(data=st.data())
def test_claims_of_any_type_under_a_signature_that_holds(
    fuzzed: Fuzzed, data: st.DataObject
) -> None:
    unbound = {name: value for name, value in fuzzed.claims.items() if name != "cnf"}
    body = data.draw(members(unbound))

    assert fuzzed.ask((b"authorization", b"Bearer " + fuzzed.signed(body))) in {200, 401, 403}


@ONCE
@given(data=st.data())
def test_octets_of_any_kind_in_place_of_a_token_or_a_header(
    fuzzed: Fuzzed, data: st.DataObject
) -> None:
    token = fuzzed.signed(json.dumps(fuzzed.claims).encode())
    value = data.draw(altered(b"DPoP " + token) | altered(b"Bearer " + token))
    proof = data.draw(altered(proofs.forged().encode()) | st.binary(max_size=60))

    assert fuzzed.ask((b"authorization", value), (b"dpop", proof)) in {400, 401}


@ONCE
@given(data=st.data())
def test_a_bound_token_with_a_confirmation_and_a_proof_of_any_kind(
    fuzzed: Fuzzed, data: st.DataObject
) -> None:
    confirmation = json.loads(data.draw(VALID_JSON))
    body = json.dumps(fuzzed.claims | {"cnf": confirmation}).encode()
    proof = data.draw(members({"jti": "1", "htm": "GET", "htu": f"{API}/", "iat": fuzzed.now}))
    header = json.dumps(
        {"typ": "dpop+jwt", "alg": "ES256", "jwk": proofs.jwk_of(forge.ES256)}
    ).encode()
    status = fuzzed.ask(
        (b"authorization", b"DPoP " + fuzzed.signed(body)),
        (b"dpop", forge.compact(header, proof).encode()),
    )

    assert status in {401, 403}


VALID_JSON = st.sampled_from(
    [{}, None, "jkt", [], {"jkt": 5}, {"jkt": ""}, {"jkt": None}, {"jkt": "x" * 43},
     {"jkt": ["a"]}, {"x5t#S256": {}}, {"jkt": forge.ES256.public.thumbprint()},
     {"jkt": forge.ES256.public.thumbprint(), "x5t#S256": "x" * 43}, {"jwk": {}}, {"kid": "a"}]
).map(json.dumps)  # fmt: skip


def test_the_honest_twins_are_let_in(fuzzed: Fuzzed) -> None:
    body = json.dumps(fuzzed.claims).encode()
    token = fuzzed.signed(body).decode()
    proof = proofs.forged(
        {"htu": f"{API}/", "iat": fuzzed.now, "ath": access_token_hash(token.encode())}
    )
    unbound = {name: value for name, value in fuzzed.claims.items() if name != "cnf"}

    assert (
        fuzzed.ask((b"authorization", f"DPoP {token}".encode()), (b"dpop", proof.encode())) == 200
    )
    assert (
        fuzzed.ask((b"authorization", b"Bearer " + fuzzed.signed(json.dumps(unbound).encode())))
        == 200
    )
