"""How a client proves itself: RFC 6749 §2.3.1, RFC 7523 §2.2, RFC 7523 §3, RFC 7521 §4.2."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.jose.forge import ES256, RS256

from mintmark.client import (
    AssertionAudience,
    Authority,
    AuthorityUnavailable,
    Client,
    ClientProof,
    ClientSecret,
    FederatedAssertion,
    MemoryUserTokens,
    PrivateKeyJwt,
    ProofUnavailable,
    PublicClient,
    TokenManager,
)
from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.client_assertion import CLIENT_ASSERTION_TYPE
from mintmark.protocol.client_authentication import ClientAuthenticationMethod, ClientCredential
from mintmark.protocol.form import Form
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.faults import Fault

API = "https://api.example"
SECRET = Secret("a-client-secret-of-this-test-alone")


class Asking:
    """A client, and every form that it sent."""

    def __init__(
        self, authority: FakeAuthority, clock: FrozenClock, patch: pytest.MonkeyPatch
    ) -> None:
        authority.clock = clock
        self.fake, self.clock = authority, clock
        self.server = Authority(authority.issuer, policy=authority.policy, clock=clock)
        self.sent: list[tuple[str, Form, dict[str, str]]] = []
        send = self.server.fetcher.post

        def post(url: str, body: bytes, headers: dict[str, str], **more: Any) -> Any:
            self.sent.append((url.rpartition("/")[2], Form.parse(body), headers))
            return send(url, body, headers, **more)

        patch.setattr(self.server.fetcher, "post", post)
        self.clients: list[Client] = []

    def client(self, proof: ClientProof | None = None, **settings: Any) -> Client:
        made = Client(
            self.server, client_id="client", proof=proof, tokens=TokenManager(clock=self.clock),
            **settings,
        )  # fmt: skip
        self.clients.append(made)
        return made

    def ask(self, proof: ClientProof | None = None, **settings: Any) -> tuple[Form, dict[str, str]]:
        """The one request for an application token."""
        self.client(proof, **settings).app_token(resource=API).token()
        _, form, headers = self.sent[-1]
        return form, headers

    def assertions(self) -> list[dict[str, Any]]:
        return [claims_of(form) for _, form, _ in self.sent]


@pytest.fixture
def asking(
    authority: FakeAuthority, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Asking]:
    made = Asking(authority, clock, monkeypatch)
    yield made
    for client in made.clients:
        client.close()


def text(form: Form, name: str) -> str:
    return form.required(name, str)


def claims_of(form: Form, key: SigningKey = ES256) -> dict[str, Any]:
    """Of an assertion whose signature holds."""
    assert text(form, "client_assertion_type") == CLIENT_ASSERTION_TYPE
    jws = parse(text(form, "client_assertion"))
    jws.require_signature(KeySet.of(key.public), ALL_ALGORITHMS)
    return decode_object(jws.payload)


class TestSecret:
    def test_it_is_sent_in_the_header_and_nowhere_else(self, asking: Asking) -> None:
        form, headers = asking.ask(ClientSecret(SECRET))

        read = ClientCredential.parse(headers["authorization"], form)
        assert (read.client_id, read.client_secret) == ("client", SECRET)
        assert "client_secret" not in form.values

    def test_it_is_sent_in_the_form_for_a_server_that_wants_it_there(self, asking: Asking) -> None:
        form, headers = asking.ask(
            ClientSecret(SECRET, ClientAuthenticationMethod.CLIENT_SECRET_POST)
        )

        read = ClientCredential.parse(None, form)
        assert (read.client_id, read.client_secret) == ("client", SECRET)
        assert "authorization" not in headers

    @pytest.mark.parametrize("method", [None, ClientAuthenticationMethod.CLIENT_SECRET_POST])
    def test_the_short_form_says_the_same(
        self, asking: Asking, method: ClientAuthenticationMethod | None
    ) -> None:
        short = asking.ask(client_secret=SECRET, method=method)
        long = asking.ask(ClientSecret(SECRET, method) if method else ClientSecret(SECRET))

        assert short == long

    def test_a_callable_is_asked_for_every_request(self, asking: Asking) -> None:
        """Rotated at run time: no restart, and not one request with the old one."""
        secrets = iter([Secret("the-first"), Secret("the-second")])
        recipe = asking.client(ClientSecret(lambda: next(secrets))).app_token(resource=API)

        recipe.forget(recipe.token())
        recipe.token()

        proved = [ClientCredential.parse(h["authorization"], f) for _, f, h in asking.sent]
        assert [one.client_secret for one in proved] == [Secret("the-first"), Secret("the-second")]

    def test_it_cannot_be_sent_as_a_signature(self) -> None:
        with pytest.raises(ValueError, match="none"):
            ClientSecret(SECRET, ClientAuthenticationMethod.NONE)


class TestWhoProvesNothing:
    def test_a_public_client_says_its_name_alone(self, asking: Asking) -> None:
        form, headers = asking.ask()

        assert ClientCredential.parse(None, form).method is ClientAuthenticationMethod.NONE
        assert "authorization" not in headers
        assert asking.ask(PublicClient()) == (form, headers)

    @pytest.mark.parametrize(
        "settings",
        [
            {"proof": ClientSecret(SECRET), "client_secret": SECRET},
            {"proof": ClientSecret(SECRET), "method": ClientAuthenticationMethod.NONE},
            {"method": ClientAuthenticationMethod.CLIENT_SECRET_POST},
        ],
        ids=["two proofs", "a proof and a method", "a method with nothing to send"],
    )
    def test_contradictions_are_refused_where_they_are_written(
        self, asking: Asking, settings: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match="proof"):
            asking.client(**settings)


class TestSignature:
    @pytest.mark.parametrize("key", [ES256, RS256], ids=["ES256", "RS256"])
    def test_it_names_the_client_and_is_made_out_to_the_issuer(
        self, asking: Asking, clock: FrozenClock, key: SigningKey
    ) -> None:
        form, headers = asking.ask(PrivateKeyJwt(key))

        claims, now = claims_of(form, key), int(clock.timestamp())
        assert (claims["iss"], claims["sub"], claims["aud"]) == (
            "client", "client", asking.fake.issuer,
        )  # fmt: skip
        assert (claims["iat"], claims["exp"]) == (now, now + 60)
        assert text(form, "client_id") == "client"
        assert "authorization" not in headers
        assert "client_secret" not in form.values

    def test_it_is_made_out_to_the_token_endpoint_only_when_told_so(self, asking: Asking) -> None:
        proof = PrivateKeyJwt(ES256, audience=AssertionAudience.TOKEN_ENDPOINT)

        asking.ask(proof)
        asking.clients[-1].revoke(Secret("a-refresh-token"))

        assert [claims["aud"] for claims in asking.assertions()] == [
            asking.fake.issuer + "/token"
        ] * 2

    def test_s43_every_request_of_every_kind_carries_a_new_jti(self, asking: Asking) -> None:
        """W-101: made once and reused, it is replayed, and sign-in fails when it has ended."""
        client, store, session = (
            asking.client(PrivateKeyJwt(ES256)),
            MemoryUserTokens(),
            Secret("s"),
        )
        flow = client.login(redirect_uri="https://shop.example/cb", scope="openid offline_access")
        attempt = flow.begin()
        answer = asking.fake.authorize(attempt.url.partition("?")[2])
        signed_in = flow.finish(answer.partition("?")[2], attempt)
        store.begin(session, signed_in.tokens)

        client.user_token(session, store, scope="openid", resource=API).token()
        client.app_token(resource=API).token()
        client.revoke(Secret("a-refresh-token"))

        kinds = [form.optional("grant_type", str) or where for where, form, _ in asking.sent]
        assert kinds == ["authorization_code", "refresh_token", "client_credentials", "revoke"]
        assert len({claims["jti"] for claims in asking.assertions()}) == 4

    def test_s43_a_second_try_is_proved_anew_and_for_its_own_moment(
        self, asking: Asking, clock: FrozenClock
    ) -> None:
        recipe = asking.client(PrivateKeyJwt(ES256)).app_token(resource=API)
        asking.fake.faults.append(Fault(status=503))
        with pytest.raises(AuthorityUnavailable):
            recipe.token()
        clock.advance(timedelta(minutes=6))

        recipe.token()

        first, second = asking.assertions()
        assert first["jti"] != second["jti"]
        assert second["iat"] - first["iat"] == 360

    def test_another_key_signs_from_the_next_request_on(self, asking: Asking) -> None:
        keys = [ES256]
        recipe = asking.client(PrivateKeyJwt(lambda: keys[-1])).app_token(resource=API)

        held = recipe.token()
        keys.append(RS256)
        recipe.forget(held)
        recipe.token()

        (_, first, _), (_, second, _) = asking.sent
        assert claims_of(first, ES256)["jti"] != claims_of(second, RS256)["jti"]

    @pytest.mark.parametrize("seconds", [1, 300])
    def test_it_lives_as_long_as_it_is_told_to(self, asking: Asking, seconds: int) -> None:
        form, _ = asking.ask(PrivateKeyJwt(ES256, lifetime=timedelta(seconds=seconds)))

        claims = claims_of(form)
        assert claims["exp"] - claims["iat"] == seconds

    @pytest.mark.parametrize("seconds", [0.9, 301, -60])
    def test_a_lifetime_that_nobody_needs_is_refused(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="lifetime"):
            PrivateKeyJwt(ES256, lifetime=timedelta(seconds=seconds))

    def test_its_repr_shows_no_key(self) -> None:
        assert "BEGIN" not in repr(PrivateKeyJwt(ES256))
        assert SECRET.reveal() not in repr(ClientSecret(SECRET))


class TestFederated:
    def test_the_file_is_read_anew_for_every_request(self, asking: Asking, tmp_path: Path) -> None:
        file = tmp_path / "token"
        recipe = asking.client(FederatedAssertion(file)).app_token(resource=API)

        file.write_text("a.first.assertion\n")
        held = recipe.token()
        # As a platform does it: another file in the same place, at once.
        (tmp_path / "next").write_text("a.second.assertion")
        (tmp_path / "next").replace(file)
        recipe.forget(held)
        recipe.token()

        sent = [text(form, "client_assertion") for _, form, _ in asking.sent]
        assert sent == ["a.first.assertion", "a.second.assertion"]
        assert {text(form, "client_assertion_type") for _, form, _ in asking.sent} == {
            CLIENT_ASSERTION_TYPE
        }

    def test_a_callable_is_asked_for_every_request(self, asking: Asking) -> None:
        assertions = iter([Secret("a.b.c"), Secret("d.e.f")])
        client = asking.client(FederatedAssertion(lambda: next(assertions)))

        client.app_token(resource=API).token()
        client.revoke(Secret("a-refresh-token"))

        assert [text(form, "client_assertion") for _, form, _ in asking.sent] == ["a.b.c", "d.e.f"]

    @pytest.mark.parametrize(
        "content", [b"", b" \n", b"a.b\nc.d", b"\xff.b.c", b"a" * 16_385],
        ids=["empty", "blank", "two lines", "binary", "large"],
    )  # fmt: skip
    def test_a_file_without_an_assertion_is_not_sent(
        self, asking: Asking, tmp_path: Path, content: bytes
    ) -> None:
        file = tmp_path / "token"
        file.write_bytes(content)

        require_nothing_sent(asking, FederatedAssertion(file))

    def test_the_longest_file_is_sent(self, asking: Asking, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_bytes(b"a" * 16_384)

        form, _ = asking.ask(FederatedAssertion(file))

        assert text(form, "client_assertion") == "a" * 16_384

    def test_what_is_no_file_is_not_waited_for(self, asking: Asking, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")

        require_nothing_sent(asking, FederatedAssertion(tmp_path / "pipe"))
        require_nothing_sent(asking, FederatedAssertion(tmp_path / "missing"))
        require_nothing_sent(asking, FederatedAssertion(tmp_path))

    def test_a_file_that_comes_later_helps(
        self, asking: Asking, tmp_path: Path, clock: FrozenClock
    ) -> None:
        file = tmp_path / "token"
        recipe = asking.client(FederatedAssertion(file)).app_token(resource=API)
        with pytest.raises(ProofUnavailable):
            recipe.token()

        file.write_text("a.b.c")
        clock.advance(timedelta(minutes=2))

        recipe.token()

        assert text(asking.sent[-1][1], "client_assertion") == "a.b.c"


def require_nothing_sent(asking: Asking, proof: ClientProof) -> ProofUnavailable:
    with pytest.raises(ProofUnavailable) as refused:
        asking.client(proof).app_token(resource=API).token()
    assert refused.value.retryable
    assert asking.sent == []
    return refused.value


def fails(*_: Any) -> Any:
    raise KeyError("the vault quotes hunter2 in its message")


@pytest.mark.parametrize("kind", [ClientSecret, PrivateKeyJwt, FederatedAssertion])
class TestSourceThatFails:
    def test_nothing_is_sent_and_nothing_is_quoted(
        self, asking: Asking, kind: Callable[[Any], ClientProof]
    ) -> None:
        refused = require_nothing_sent(asking, kind(fails))

        assert "KeyError" in refused.reason
        assert "hunter2" not in f"{refused} {refused!r} {refused.args}"

    def test_what_is_no_secret_and_no_key_is_not_sent(
        self, asking: Asking, kind: Callable[[Any], ClientProof]
    ) -> None:
        refused = require_nothing_sent(asking, kind(lambda: "hunter2"))

        assert "hunter2" not in f"{refused!r}"

    def test_a_revocation_says_so_as_well(
        self, asking: Asking, kind: Callable[[Any], ClientProof]
    ) -> None:
        with pytest.raises(ProofUnavailable):
            asking.client(kind(fails)).revoke(Secret("a-refresh-token"))

        assert asking.sent == []
