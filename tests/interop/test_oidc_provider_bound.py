"""Tokens that are of no use to a thief, at npm `oidc-provider`, over TLS, with no patch on either side.

RFC 9449 §5, §8 and §10 with a nonce of the server's, and RFC 8705 §2, §3 and §5.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.interop.certificates import Pair
from tests.interop.provider import API, Provider, provider
from tests.interop.test_oidc_provider import SCOPE, claims, renew, signed_in

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    ClientCertificate,
    DPoP,
    LoginFailed,
    LoginRequired,
    MemoryUserTokens,
    MutualTls,
    SelfSignedTls,
    TlsClientAuth,
    TokenRefused,
)
from mintmark.protocol.authorization import Prompt
from mintmark.secret import Secret

pytestmark = pytest.mark.xdist_group("oidc-provider")


@pytest.fixture(scope="module", params=[True, False], ids=["nonce", "no-nonce"])
def theirs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("oidc-provider")
    with provider(folder, dpop_nonce=request.param) as running:
        yield running


@pytest.fixture
def bound(theirs: Provider) -> Iterator[Client]:
    made = theirs.client("web-bound", binding=DPoP())
    yield made
    made.close()


class TestDPoP:
    def test_sign_in_renewal_and_revocation_are_bound_to_one_key(
        self, theirs: Provider, bound: Client
    ) -> None:
        """Code, PKCE, PAR, DPoP and `private_key_jwt`, a renewal, and the end."""
        tokens = signed_in(theirs, bound).tokens
        first = claims(tokens.access_tokens[0].access_token)
        session, store = Secret.generate(), MemoryUserTokens()
        store.begin(session, tokens)
        second = claims(renew(bound, session, store))
        stored = store.load(session)
        assert stored is not None
        assert stored.refresh_token is not None
        bound.revoke(stored.refresh_token)

        assert first["cnf"] == second["cnf"]
        assert set(first["cnf"]) == {"jkt"}
        assert first["jti"] != second["jti"]
        assert stored.refresh_token != tokens.refresh_token
        with pytest.raises(LoginRequired):
            renew(bound, session, store)

    def test_two_people_have_two_keys(self, theirs: Provider, bound: Client) -> None:
        one, other = (signed_in(theirs, bound).tokens.access_tokens[0] for _ in range(2))

        assert claims(one.access_token)["cnf"] != claims(other.access_token)["cnf"]

    def test_a_client_whose_tokens_must_be_bound_gets_none_without(self, theirs: Provider) -> None:
        plain = theirs.client("web-bound")
        with pytest.raises(LoginFailed):
            signed_in(theirs, plain)
        plain.close()

    def test_a_code_is_of_no_use_to_another_key(self, theirs: Provider, bound: Client) -> None:
        """The thief has everything but the key: RFC 9449 §10."""
        flow = bound.login(redirect_uri=theirs.callback, scope=SCOPE, resource=API)
        attempt, other = flow.begin(prompt=frozenset({Prompt.CONSENT})), flow.begin()
        back = theirs.sign_in(attempt.url)

        with pytest.raises(LoginFailed) as failed:
            flow.finish(back, replace(attempt, proof_key=other.proof_key))
        assert failed.value.error == "invalid_grant"


class TestClientCertificates:
    @pytest.fixture(params=["machine", "lonely"])
    def by_tls(
        self, request: pytest.FixtureRequest, theirs: Provider
    ) -> Iterator[tuple[Client, Pair]]:
        pair: Pair = getattr(theirs, request.param)
        proof = TlsClientAuth if request.param == "machine" else SelfSignedTls
        made = with_certificate(theirs, request.param, pair, proof)
        yield made, pair
        made.close()

    def test_an_application_gets_a_token_bound_to_its_certificate(
        self, by_tls: tuple[Client, Pair]
    ) -> None:
        client, pair = by_tls
        token = claims(client.app_token(scope="orders.read", resource=API).token())

        assert token["cnf"] == {"x5t#S256": thumbprint(pair)}
        assert (token["aud"], token["client_id"]) == (API, client.client_id)

    def test_the_endpoint_that_asks_for_certificates_is_an_alias(
        self, theirs: Provider, by_tls: tuple[Client, Pair]
    ) -> None:
        aliases = by_tls[0].authority.metadata().mtls_endpoint_aliases

        assert aliases.token_endpoint is not None
        assert not aliases.token_endpoint.startswith(theirs.issuer)

    def test_another_certificate_proves_nothing(self, theirs: Provider) -> None:
        stranger = theirs.certificates.self_signed("stranger")
        for client_id, proof in (("machine", TlsClientAuth), ("lonely", SelfSignedTls)):
            made = with_certificate(theirs, client_id, stranger, proof)
            with pytest.raises(TokenRefused) as refused:
                made.app_token(scope="orders.read", resource=API).token()
            assert refused.value.error == "invalid_client"
            made.close()

    def test_another_name_by_the_same_authority_proves_nothing(self, theirs: Provider) -> None:
        other = theirs.certificates.client("other-machine")
        made = with_certificate(theirs, "machine", other, TlsClientAuth)
        with pytest.raises(TokenRefused):
            made.app_token(scope="orders.read", resource=API).token()
        made.close()

    def test_a_certificate_that_is_not_there_asks_for_nothing(self, theirs: Provider) -> None:
        missing = theirs.machine.certificate_file.with_name("nowhere.pem")
        certificate = ClientCertificate.from_files(missing, theirs.machine.key_file)
        made = theirs.client(
            "machine", proof=TlsClientAuth(certificate), binding=MutualTls(certificate)
        )
        with pytest.raises(AuthorityUnavailable):
            made.app_token(scope="orders.read", resource=API).token()
        made.close()


def with_certificate(
    theirs: Provider,
    client_id: str,
    pair: Pair,
    proof: Callable[[ClientCertificate], TlsClientAuth | SelfSignedTls],
) -> Client:
    certificate = ClientCertificate.from_files(pair.certificate_file, pair.key_file)
    return theirs.client(client_id, proof=proof(certificate), binding=MutualTls(certificate))


def thumbprint(pair: Pair) -> str:
    digest = hashlib.sha256(pair.certificate.public_bytes(Encoding.DER)).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")
