"""Which tokens an API takes: S-21 to S-24 at the gate, over a server's real key set."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.api.conftest import API, bearer, request_with
from tests.jose import forge

from mintmark.api import Gate, TrustedIssuer
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.id_token import mint_id_token
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

Call = Callable[..., Any]


def claims(authority: FakeAuthority, **changes: Any) -> dict[str, Any]:
    now = int(authority.clock.timestamp())
    honest: dict[str, Any] = {
        "iss": authority.issuer, "aud": API, "sub": "alice", "client_id": "web", "jti": "1",
        "iat": now, "exp": now + 600,
    }  # fmt: skip
    return {k: v for k, v in (honest | changes).items() if v is not None}


async def refused(call: Call, token: str | Secret) -> bool:
    answer = await call(bearer(token))
    assert answer.status_code in {200, 401}
    return bool(answer.status_code == 401 and answer.json()["error"] == "invalid_token")


class TestTheHonestTwin:
    """V-02 to V-07 hold for it, so each refusal below has the one cause that it names."""

    async def test_v02_to_v07_the_honest_token_is_taken(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        assert not await refused(call, forge.signed(claims(authority), authority.key))
        assert not await refused(call, authority.access_token())

    @pytest.mark.parametrize("typ", ["application/AT+JWT", "AT+jwt", "application/at+jwt"])
    async def test_c14_v06_both_ways_to_write_the_type(
        self, call: Call, authority: FakeAuthority, typ: str
    ) -> None:
        assert not await refused(call, forge.signed(claims(authority), authority.key, typ=typ))


class TestS21Altered:
    async def test_s21_e8_one_altered_byte_anywhere(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        parts = authority.access_token().reveal().split(".")
        for position, part in enumerate(parts):
            for place in (0, len(part) // 2, len(part) - 2):
                other = "A" if part[place] != "A" else "B"
                changed = [*parts]
                changed[position] = part[:place] + other + part[place + 1 :]
                assert await refused(call, ".".join(changed))

    async def test_s21_e8_the_signature_of_another_token(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        one = authority.access_token().reveal().rpartition(".")
        other = authority.access_token(sub="bob").reveal().rpartition(".")

        assert await refused(call, f"{one[0]}.{other[2]}")
        assert await refused(call, f"{one[0]}.")

    async def test_h10_an_opaque_string(self, call: Call) -> None:
        assert await refused(call, Secret.generate())


class TestS22Algorithms:
    @pytest.mark.parametrize("alg", ["none", "None", "NONE", "none "])
    async def test_s22_none(self, call: Call, authority: FakeAuthority, alg: str) -> None:
        token = forge.signed(claims(authority), authority.key, alg=alg)

        assert await refused(call, token)
        assert await refused(call, token.rpartition(".")[0] + ".")

    @pytest.mark.parametrize("tail", [b"", b"\n"])
    async def test_s22_c4_hs256_keyed_with_the_public_key(
        self, call: Call, authority: FakeAuthority, tail: bytes
    ) -> None:
        published = json.dumps(authority.key.public.to_jwk()).encode() + tail
        unsigned = forge.signed(claims(authority), authority.key, alg="HS256").rpartition(".")[0]
        mac = hmac.digest(published, unsigned.encode(), hashlib.sha256)
        signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

        assert await refused(call, f"{unsigned}.{signature}")

    async def test_s22_an_embedded_key_is_not_looked_at(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        thief = SigningKey.generate(Algorithm.ES256)
        jwk = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}
        for members in ({"jwk": jwk}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "file:///x"}):
            token = forge.signed(claims(authority), thief, kid=authority.key.kid, **members)
            assert await refused(call, token)

    async def test_s22_another_type_of_key(self, call: Call, authority: FakeAuthority) -> None:
        thief = SigningKey.generate(Algorithm.RS256)

        assert await refused(call, forge.signed(claims(authority), thief, kid=authority.key.kid))
        assert await refused(call, forge.signed(claims(authority), authority.key, alg="ES384"))

    async def test_v02_an_algorithm_that_this_issuer_does_not_use(
        self, gate: Gate, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        narrow = Gate(
            API,
            issuers=[
                TrustedIssuer(
                    issuer=authority.issuer,
                    audience=API,
                    algorithms=frozenset({Algorithm.RS256}),
                    policy=authority.policy,
                )
            ],
            clock=clock,
        )
        headers = [(b"authorization", f"Bearer {authority.access_token().reveal()}".encode())]
        assert (await gate.require_caller(request_with(headers))).subject == "client"
        with pytest.raises(Exception, match="alg"):
            await narrow.require_caller(request_with(headers))
        narrow.close()


class TestS23Claims:
    @pytest.mark.parametrize(
        "changes",
        [{"iss": "https://evil.example"}, {"iss": None}, {"iss": 5}, {"aud": None},
         {"aud": "https://other.example"}, {"aud": ["https://other.example"]}, {"aud": API + "/"},
         {"sub": None}, {"client_id": None}, {"jti": None}, {"iat": None}, {"exp": None}],
        ids=str,
    )  # fmt: skip
    async def test_s23_a_missing_or_foreign_claim(
        self, call: Call, authority: FakeAuthority, changes: dict[str, Any]
    ) -> None:
        assert await refused(call, forge.signed(claims(authority, **changes), authority.key))

    @pytest.mark.parametrize(
        ("claim", "seconds", "ok"),
        [("exp", -29, True), ("exp", -30, False), ("nbf", 30, True), ("nbf", 31, False),
         ("iat", 60, True), ("iat", 61, False)],
    )  # fmt: skip
    async def test_s23_v05_g1_g2_time_to_the_second(
        self, call: Call, authority: FakeAuthority, claim: str, seconds: int, ok: bool
    ) -> None:
        """30 s for what begins and ends, 60 s for an issuer whose clock runs ahead."""
        now = int(authority.clock.timestamp())
        iat = {"iat": now - 600} if claim == "exp" else {}
        token = forge.signed(claims(authority, **iat, **{claim: now + seconds}), authority.key)

        assert await refused(call, token) is not ok

    @pytest.mark.parametrize(("behind", "ok"), [(60, True), (61, False), (90, False)])
    async def test_s11_a_clock_that_is_behind(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock, behind: int, ok: bool
    ) -> None:
        """S-11: within the skew a token passes, beyond it none does."""
        token = authority.access_token()
        clock.advance(-timedelta(seconds=behind))

        assert await refused(call, token) is not ok

    async def test_v05_the_skew_is_what_was_set_and_never_five_minutes_by_itself(
        self, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """Five minutes would let an ended token live half as long again."""
        token = authority.access_token()
        clock.advance(authority.lifetime + timedelta(seconds=31))

        assert await refused(call, token)
        with pytest.raises(ValueError, match="skew"):
            TrustedIssuer(
                issuer="https://id.example", audience=API, skew=timedelta(minutes=5, seconds=1)
            )

    async def test_v04_an_api_without_an_audience_of_its_own_cannot_be_made(self) -> None:
        """Where nobody checks the audience, a token for one API opens all."""
        with pytest.raises(ValueError, match="audience"):
            Gate("", issuer="https://id.example")


class TestS24AnotherKindOfToken:
    @pytest.mark.parametrize(
        "typ", ["JWT", "dpop+jwt", "logout+jwt", "client-authentication+jwt", None]
    )
    async def test_s24_v06_the_same_claims_under_another_type(
        self, call: Call, authority: FakeAuthority, typ: str | None
    ) -> None:
        assert await refused(call, forge.signed(claims(authority), authority.key, typ=typ))

    async def test_s24_h1_an_id_token_though_it_names_this_audience(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        token = mint_id_token(
            iss=authority.issuer, sub="alice", aud=API, nonce="n", auth_time=authority.clock.now(),
            sid="s", access_token=authority.access_token(), now=authority.clock.now(),
            lifetime=timedelta(minutes=5), key=authority.key,
        )  # fmt: skip

        assert await refused(call, token)

    @pytest.mark.parametrize(
        "cnf",
        [
            {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
            {"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
        ],
    )
    async def test_v10_j1_k1_a_bound_token_without_its_proof(
        self, call: Call, authority: FakeAuthority, cnf: dict[str, str]
    ) -> None:
        """RFC 9449 §7.1, RFC 8705 §3: as a bearer token it would be good in a thief's hands."""
        assert await refused(call, forge.signed(claims(authority, cnf=cnf), authority.key))


class TestV08StrictReading:
    async def test_v08_an_unknown_critical_header(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        token = forge.signed(claims(authority), authority.key, crit=["x"], x=1)

        assert await refused(call, token)

    async def test_v08_f1_a_member_twice(self, call: Call, authority: FakeAuthority) -> None:
        text = json.dumps(claims(authority))[:-1] + ',"sub":"bob"}'

        assert await refused(call, forge.signed(text.encode(), authority.key))

    async def test_v08_b14_depth(self, call: Call, authority: FakeAuthority) -> None:
        deep = b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}"

        assert await refused(call, forge.signed(deep, authority.key))


async def test_v03_keys_of_one_issuer_sign_for_no_other(
    authority: FakeAuthority, clock: FrozenClock
) -> None:
    """S-32, D7: issuer, keys and audience are one unit."""
    authority.clock = clock
    with FakeAuthority(clock=clock).serve() as other:
        both = [
            TrustedIssuer(issuer=one.issuer, audience=API, policy=one.policy)
            for one in (authority, other)
        ]
        gate = Gate(API, issuers=both, clock=clock)
        honest = forge.signed(claims(other), other.key)
        crossed = forge.signed(claims(other), authority.key)
        assert (await gate.require_caller(request_with(_headers(honest)))).issuer == other.issuer
        for token in (crossed, forge.signed(claims(other), authority.key, kid=other.key.kid)):
            with pytest.raises(Exception, match=r"key|signature"):
                await gate.require_caller(request_with(_headers(token)))
        gate.close()


def test_an_issuer_twice_is_refused() -> None:
    twice = [TrustedIssuer(issuer="https://id.example", audience=API)] * 2
    with pytest.raises(ValueError, match="twice"):
        Gate(API, issuers=twice)


def _headers(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {token}".encode())]
