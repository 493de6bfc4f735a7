"""Bound, encrypted and opaque tokens, tenants and taken-back tokens, through the whole gate."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.api.conftest import API, bearer, request_with, who

from mintmark.api import (
    AUTHENTICATED,
    ClientCertificate,
    ClientSecretBasic,
    DPoP,
    Gate,
    MemoryDenyList,
    OpaqueIssuer,
    Refused,
    TrustedIssuer,
    bound,
    login,
    scope,
)
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.jwe import encrypt
from mintmark.jose.key_management import KeyManagement
from mintmark.jose.keys import SigningKey
from mintmark.protocol.dpop import make_proof
from mintmark.protocol.mtls import certificate_thumbprint
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

Gated = Callable[..., Gate]
URL = f"{API}/orders"


@pytest.fixture
def gated(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Gated]:
    """Gates with settings of their own, closed at the end."""
    authority.clock = clock
    made: list[Gate] = []

    def one(trusted: Mapping[str, Any] | None = None, **settings: Any) -> Gate:
        entry = TrustedIssuer(
            issuer=authority.issuer, audience=API, policy=authority.policy, **(trusted or {})
        )
        made.append(Gate(API, clock=clock, **({"issuers": [entry]} | settings)))
        return made[-1]

    yield one
    for gate in made:
        gate.close()


async def get(
    gate: Gate, headers: Any = None, *, policy: Any = AUTHENTICATED, tls: Any = None
) -> httpx2.Response:
    app = gate.wrap(who, {"/orders": policy})

    async def with_tls(scope: Any, receive: Any, send: Any) -> None:
        if tls is not None:
            scope["extensions"] = {**scope.get("extensions", {}), "tls": tls}
        await app(scope, receive, send)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(with_tls), base_url=API) as http:
        return await http.get("/orders", headers=headers)


def challenges(answer: httpx2.Response) -> list[str]:
    return list(answer.headers.get_list("www-authenticate"))


class Holder:
    """A client with a key of its own, and tokens that are bound to it."""

    def __init__(self, authority: FakeAuthority, clock: FrozenClock) -> None:
        self.key = SigningKey.generate(Algorithm.ES256)
        self.clock = clock
        self.token = authority.access_token(
            sub="alice", scope="orders.read", extra={"cnf": {"jkt": self.key.public.thumbprint()}}
        )

    def headers(self, *, key: SigningKey | None = None, **changes: Any) -> dict[str, str]:
        honest: dict[str, Any] = {"htm": "GET", "htu": URL, "now": self.clock.now()}
        proof = make_proof(key or self.key, access_token=self.token, **(honest | changes))
        return {"authorization": f"DPoP {self.token.reveal()}", "dpop": proof.reveal()}


@pytest.fixture
def holder(authority: FakeAuthority, clock: FrozenClock) -> Holder:
    authority.clock = clock
    return Holder(authority, clock)


class TestDPoP:
    """RFC 9449 §7: a bound token, and the proof of each request."""

    async def test_the_honest_twin(self, gated: Gated, holder: Holder) -> None:
        answer = await get(gated(dpop=DPoP()), holder.headers())

        assert (answer.status_code, answer.text) == (200, "delegated alice")
        assert "dpop-nonce" not in answer.headers

    async def test_s37_w82_a_stolen_token_with_the_thiefs_own_key(
        self, gated: Gated, holder: Holder
    ) -> None:
        thief = SigningKey.generate(Algorithm.ES256)
        answer = await get(gated(dpop=DPoP()), holder.headers(key=thief))

        assert answer.status_code == 401
        assert challenges(answer)[0].startswith(f'DPoP realm="{API}", error="invalid_token"')
        assert "algs=" in challenges(answer)[0]

    async def test_s38_j1_w48_as_a_bearer_token_it_is_refused(
        self, gated: Gated, holder: Holder
    ) -> None:
        """RFC 9449 §7.2."""
        answer = await get(gated(dpop=DPoP()), bearer(holder.token))

        assert answer.status_code == 401
        assert challenges(answer)[0].startswith(f'Bearer realm="{API}", error="invalid_token"')
        assert challenges(answer)[1].startswith("DPoP ")

    async def test_s38_where_no_proof_is_looked_at_it_is_refused_as_well(
        self, gated: Gated, holder: Holder
    ) -> None:
        assert (await get(gated(), bearer(holder.token))).status_code == 401
        # A12: a scheme that is not offered is no attempt at one that is.
        answer = await get(gated(), holder.headers())
        assert challenges(answer) == [f'Bearer realm="{API}"']

    async def test_s38_j3_w84_without_a_proof_it_is_401_and_no_500(
        self, gated: Gated, holder: Holder
    ) -> None:
        headers = {"authorization": f"DPoP {holder.token.reveal()}"}
        answer = await get(gated(dpop=DPoP()), headers)

        assert answer.status_code == 401
        assert 'error="invalid_dpop_proof"' in challenges(answer)[0]

    async def test_j2_an_unbound_token_with_a_proof(
        self, gated: Gated, authority: FakeAuthority, holder: Holder
    ) -> None:
        holder.token = authority.access_token()
        answer = await get(gated(dpop=DPoP()), holder.headers())

        assert answer.status_code == 401
        assert challenges(answer)[0].startswith(f'DPoP realm="{API}", error="invalid_token"')
        assert (await get(gated(dpop=DPoP()), bearer(holder.token))).status_code == 200
        assert (await get(gated(dpop=DPoP(required=True)), bearer(holder.token))).status_code == 401

    async def test_s39_j19_a_proof_is_good_once(self, gated: Gated, holder: Holder) -> None:
        gate, headers = gated(dpop=DPoP()), holder.headers()
        first, second = await get(gate, headers), await get(gate, headers)

        assert (first.status_code, second.status_code) == (200, 401)
        assert 'error="invalid_dpop_proof"' in challenges(second)[0]

    @pytest.mark.parametrize(
        "changes",
        [{"htm": "POST"}, {"htu": f"{API}/other"}, {"htu": "https://evil.example/orders"}],
        ids=["method", "path", "host"],
    )
    async def test_s39_j12_j13_a_proof_for_another_request(
        self, gated: Gated, holder: Holder, changes: dict[str, Any]
    ) -> None:
        answer = await get(gated(dpop=DPoP()), holder.headers(**changes))

        assert 'error="invalid_dpop_proof"' in challenges(answer)[0]

    async def test_s40_j25_a_wrong_clock_is_helped_by_a_nonce(
        self, gated: Gated, holder: Holder
    ) -> None:
        gate, late = gated(dpop=DPoP()), holder.clock.now() - timedelta(hours=3)
        first = await get(gate, holder.headers(now=late))
        assert 'error="use_dpop_nonce"' in challenges(first)[0]

        again = holder.headers(now=late, nonce=first.headers["dpop-nonce"])
        assert (await get(gate, again)).status_code == 200

    async def test_a_nonce_about_to_turn_is_announced_with_the_answer(
        self, gated: Gated, holder: Holder
    ) -> None:
        """RFC 9449 §8.2: so that nobody has to come twice."""
        gate = gated(dpop=DPoP(nonce="always"))
        nonce = (await get(gate, holder.headers())).headers["dpop-nonce"]
        accepted = await get(gate, holder.headers(nonce=nonce))
        assert (accepted.status_code, accepted.headers.get("dpop-nonce")) == (200, None)

        holder.clock.advance(timedelta(seconds=60))
        later = await get(gate, holder.headers(nonce=nonce))
        assert later.status_code == 200
        assert later.headers["dpop-nonce"] != nonce

    async def test_without_an_address_of_its_own_the_gate_does_not_start(
        self, authority: FakeAuthority
    ) -> None:
        issuer = TrustedIssuer(issuer=authority.issuer, audience="orders", policy=authority.policy)
        with pytest.raises(ValueError, match="origin"):
            Gate("orders", issuers=[issuer], dpop=DPoP())


def certificate(subject: str) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    begin = datetime(2025, 12, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + timedelta(days=365))
    return builder.sign(key, hashes.SHA256())


def tls(shown: x509.Certificate | None) -> dict[str, Any]:
    chain = [] if shown is None else [shown.public_bytes(Encoding.PEM).decode()]
    return {"client_cert_chain": chain, "client_cert_error": None}


class TestS41Certificates:
    """RFC 8705 §3: the certificate of the connection is the one that the token names."""

    async def test_s41_k1_k2_no_certificate_another_one_and_the_right_one(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        own, other = certificate("client"), certificate("client")
        thumbprint = certificate_thumbprint(own.public_bytes(Encoding.DER))
        token = authority.access_token(extra={"cnf": {"x5t#S256": thumbprint}})
        gate = gated(client_certificate=ClientCertificate.from_tls())

        assert (await get(gate, bearer(token), tls=tls(own))).status_code == 200
        for shown in (other, None):
            answer = await get(gate, bearer(token), tls=tls(shown))
            assert challenges(answer) == [f'Bearer realm="{API}", error="invalid_token"']

    async def test_k6_a_token_with_both_shows_both(
        self, gated: Gated, authority: FakeAuthority, holder: Holder
    ) -> None:
        own = certificate("client")
        thumbprint = certificate_thumbprint(own.public_bytes(Encoding.DER))
        both = {"jkt": holder.key.public.thumbprint(), "x5t#S256": thumbprint}
        holder.token = authority.access_token(extra={"cnf": both})
        gate = gated(dpop=DPoP(), client_certificate=ClientCertificate.from_tls())

        assert (await get(gate, holder.headers(), tls=tls(own))).status_code == 200
        assert (await get(gate, holder.headers(), tls=tls(None))).status_code == 401
        assert (await get(gate, bearer(holder.token), tls=tls(own))).status_code == 401

    async def test_where_proofs_are_required_a_certificate_is_none(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        own = certificate("client")
        thumbprint = certificate_thumbprint(own.public_bytes(Encoding.DER))
        token = authority.access_token(extra={"cnf": {"x5t#S256": thumbprint}})
        sources = {"client_certificate": ClientCertificate.from_tls()}

        for dpop, status in ((DPoP(required=True), 401), (DPoP(), 200)):
            gate = gated(dpop=dpop, **sources)
            assert (await get(gate, bearer(token), tls=tls(own))).status_code == status

    async def test_k8_a_server_that_never_says_is_an_outage_and_not_a_refusal(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        token = authority.access_token(extra={"cnf": {"x5t#S256": "A" * 43}})
        gate = gated(client_certificate=ClientCertificate.from_tls())

        assert (await get(gate, bearer(token))).status_code == 503

    async def test_a_route_may_ask_for_a_bound_token(
        self, gated: Gated, authority: FakeAuthority, holder: Holder
    ) -> None:
        gate, policy = gated(dpop=DPoP()), scope("orders.read") & bound()
        unbound = authority.access_token(scope="orders.read")

        assert (await get(gate, holder.headers(), policy=policy)).status_code == 200
        assert (await get(gate, bearer(unbound), policy=policy)).status_code in {401, 403}


class TestS29Encrypted:
    """RFC 9068 §4, RFC 7516 §9: opened with the API's key, and then a token like any other."""

    def sealed(self, token: Secret, key: DecryptionKey) -> str:
        return encrypt(token.reveal().encode(), key.public, enc=ContentEncryption.A256GCM)

    async def test_s29_i2_with_its_key_and_as_it_was_agreed(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        own, others = (DecryptionKey.generate(KeyManagement.ECDH_ES) for _ in range(2))
        token = authority.access_token()
        gates = {
            wanted: gated({"encryption": wanted}, decrypt_with=DecryptionKeys.of(own))
            for wanted in ("forbid", "accept", "require")
        }
        answers = {
            wanted: [
                (await get(gate, bearer(text))).status_code
                for text in (self.sealed(token, own), token, self.sealed(token, others))
            ]
            for wanted, gate in gates.items()
        }

        assert answers == {
            "forbid": [401, 200, 401],
            "accept": [200, 200, 401],
            "require": [200, 401, 401],
        }

    async def test_i12_an_unknown_key_is_nothing_to_ask_the_issuer_about(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        own, other = (DecryptionKey.generate(KeyManagement.ECDH_ES) for _ in range(2))
        gate = gated(decrypt_with=DecryptionKeys.of(own))
        assert (await get(gate, bearer(authority.access_token()))).status_code == 200
        asked = authority.counts["jwks"]

        answer = await get(gate, bearer(self.sealed(authority.access_token(), other)))
        assert (answer.status_code, authority.counts["jwks"]) == (401, asked)

    async def test_an_api_without_keys_takes_none(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        own = DecryptionKey.generate(KeyManagement.ECDH_ES)

        sealed = self.sealed(authority.access_token(), own)
        assert (await get(gated(), bearer(sealed))).status_code == 401
        with pytest.raises(ValueError, match="decrypt_with"):
            gated({"encryption": "require"})


class TestS30Opaque:
    """RFC 7662 §2.2: its issuer says what it means, and whether it still does."""

    async def test_s30_beside_jwts_and_until_it_is_revoked(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        opaque = OpaqueIssuer(
            issuer=authority.issuer,
            audience=API,
            client_proof=ClientSecretBasic("api", Secret("api-secret-of-this-test")),
            introspection_endpoint=f"{authority.issuer}/introspect",
            policy=authority.policy,
        )
        gate = gated(opaque=opaque)
        token = authority.introspection.opaque_token(
            {"sub": "alice", "client_id": "web", "scope": "orders.read", "aud": API}
        )
        policy = scope("orders.read")

        assert (await get(gate, bearer(token), policy=policy)).text == "delegated alice"
        assert (await get(gate, bearer(token), policy=scope("more"))).status_code == 403
        jwt = authority.access_token(scope="orders.read")
        assert (await get(gate, bearer(jwt), policy=policy)).status_code == 200

        authority.introspection.forget(token)
        clock.advance(timedelta(seconds=61))
        assert (await get(gate, bearer(token), policy=policy)).status_code == 401


@pytest.fixture
async def neighbour(clock: FrozenClock) -> AsyncIterator[FakeAuthority]:
    with FakeAuthority(clock=clock).serve() as serving:
        yield serving


class TestS31SeveralIssuers:
    async def test_s31_s32_w54_each_with_its_own_keys_and_audience(
        self, gated: Gated, authority: FakeAuthority, neighbour: FakeAuthority
    ) -> None:
        entries = [
            TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy),
            TrustedIssuer(issuer=neighbour.issuer, audience="https://partner.example",
                          policy=neighbour.policy),
        ]  # fmt: skip
        gate = gated(issuers=entries)

        assert (await get(gate, bearer(authority.access_token()))).status_code == 200
        partner = neighbour.access_token(aud=("https://partner.example",))
        assert (await get(gate, bearer(partner))).status_code == 200
        # The other's audience, and the other's key under its own name.
        assert (await get(gate, bearer(neighbour.access_token(aud=(API,))))).status_code == 401
        neighbour.issuer = authority.issuer
        assert (await get(gate, bearer(neighbour.access_token(aud=(API,))))).status_code == 401

    async def test_h6_a_tenants_token_on_anothers_host(
        self, gated: Gated, authority: FakeAuthority, neighbour: FakeAuthority
    ) -> None:
        tenants = {b"a.example": authority, b"b.example": neighbour}

        async def resolve(iss: str, scope: Mapping[str, Any]) -> TrustedIssuer | None:
            tenant = tenants.get(dict(scope["headers"]).get(b"host", b""))
            if tenant is None or tenant.issuer != iss:
                return None
            return TrustedIssuer(issuer=tenant.issuer, audience=API, policy=tenant.policy)

        gate = gated(issuers=[], resolve_issuer=resolve)

        async def asked(token: Secret, host: bytes) -> int:
            value = f"Bearer {token.reveal()}".encode()
            headers = [(b"authorization", value), (b"host", host)]
            try:
                await gate.require_caller(request_with(headers))
            except Refused as refused:
                return refused.answer.status
            return 200

        ours, theirs = authority.access_token(), neighbour.access_token()
        # Twice, for the second time it is remembered.
        for _ in range(2):
            assert await asked(ours, b"a.example") == 200
            assert await asked(ours, b"b.example") == 401
            assert await asked(theirs, b"b.example") == 200
            assert await asked(theirs, b"a.example") == 401
            assert await asked(ours, b"c.example") == 401

    async def test_a_resolver_that_names_a_neighbour_lends_no_keys(
        self, gated: Gated, authority: FakeAuthority, neighbour: FakeAuthority
    ) -> None:
        async def wrong(iss: str, scope: Mapping[str, Any]) -> TrustedIssuer | None:
            return TrustedIssuer(issuer=neighbour.issuer, audience=API, policy=neighbour.policy)

        gate = gated(issuers=[], resolve_issuer=wrong)

        assert (await get(gate, bearer(authority.access_token()))).status_code == 401
        assert (await get(gate, bearer(neighbour.access_token()))).status_code == 200


class TestTakenBack:
    """V-13: a token that was taken back is refused at once, though it was proved a moment ago."""

    async def test_v13_by_token_session_and_subject(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        denied = MemoryDenyList()
        gate, until = gated(deny_list=denied), clock.timestamp() + 600
        tokens = [authority.access_token(sub=sub, extra={"sid": sub}) for sub in ("a", "b", "c")]
        for token in tokens:
            assert (await get(gate, bearer(token))).status_code == 200

        caller = await gate.require_caller(
            request_with([(b"authorization", f"Bearer {tokens[0].reveal()}".encode())])
        )
        denied.deny_token(authority.issuer, caller.claims["jti"], until=until)
        denied.deny_session(authority.issuer, "b", until=until)
        denied.deny_subject(authority.issuer, "c", issued_before=clock.timestamp() + 1, until=until)
        assert [(await get(gate, bearer(token))).status_code for token in tokens] == [401] * 3

        clock.advance(timedelta(seconds=2))
        assert (await get(gate, bearer(authority.access_token(sub="c")))).status_code == 200

    async def test_an_explanation_knows_of_it_too(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        denied = MemoryDenyList()
        gate, token = gated(deny_list=denied), authority.access_token(sub="a")
        assert "accepted" in str(await gate.explain(token))

        until = clock.timestamp() + 600
        denied.deny_subject(authority.issuer, "a", issued_before=until, until=until)
        assert "401 invalid_token" in str(await gate.explain(token))

    async def test_a_list_that_cannot_answer_refuses(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        class Broken:
            async def require_not_denied(self, caller: Any, *, now: float) -> Any:
                raise RuntimeError("the list is gone")

        answer = await get(gated(deny_list=Broken()), bearer(authority.access_token()))

        assert answer.status_code == 503


class TestStepUpAtTheGate:
    async def test_m4_w102_one_challenge_says_how_to_sign_in_again(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """RFC 9470 §3; the application is not reached, so nothing is written twice."""
        policy = scope("pay") & login(acr="phr", within=timedelta(minutes=5))
        signed_in = int(clock.timestamp())
        weak = authority.access_token(sub="eve", extra={"acr": "pwd", "auth_time": signed_in})
        answer = await get(gated(), bearer(weak), policy=policy)

        assert answer.status_code == 401
        assert 'error="insufficient_user_authentication"' in challenges(answer)[0]
        assert 'acr_values="phr"' in challenges(answer)[0]
        strong = authority.access_token(
            sub="eve", scope="pay", extra={"acr": "phr", "auth_time": signed_in}
        )
        assert (await get(gated(), bearer(strong), policy=policy)).status_code == 200


class TestExplained:
    """Somebody who runs the API sees why; nothing of the token is in it."""

    async def test_a_refusal_names_the_check_and_the_answer(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        gate, token = gated(), authority.access_token(scope="orders.read")
        accepted = str(await gate.explain(token, scope("orders.write")))
        clock.advance(timedelta(hours=1))
        ended = str(await gate.explain(token))
        nonsense = str(await gate.explain(Secret("nonsense")))

        assert "missing_scope" in accepted
        assert f"iss: {authority.issuer} is trusted here" in ended
        assert "401 invalid_token: exp has passed" in ended
        assert "401 invalid_token" in nonsense
        for text in (accepted, ended, nonsense):
            assert token.reveal() not in text
            assert token.reveal().rpartition(".")[2] not in text
