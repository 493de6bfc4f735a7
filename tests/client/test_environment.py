"""A client made of environment variables: which there are, and what is said of wrong ones.

RFC 6749 §3.3
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from tests.client.conftest import API
from tests.invented_hosts import ORDERS, invented_hosts

from mintmark.client import (
    Client,
    EnvironmentRefused,
    FederatedAssertion,
    PrivateKeyJwt,
    ProofUnavailable,
    PublicClient,
    TokenManager,
)
from mintmark.client.environment import settings_from
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.client_authentication import basic_header
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.asked import Asked

ROOT = Path(__file__).parents[2]
PLANTED = "planted-value"
GOOD = {
    "ORDERS_ISSUER": "https://id.example",
    "ORDERS_CLIENT_ID": "reports",
    "ORDERS_CLIENT_SECRET": "of-this-test-alone",
}


def settings(**changes: str | None) -> Any:
    wanted = {**GOOD, **{f"ORDERS_{name}": value for name, value in changes.items()}}
    return settings_from("ORDERS", {k: v for k, v in wanted.items() if v is not None})


def refused(**changes: str | None) -> EnvironmentRefused:
    with pytest.raises(EnvironmentRefused) as refusal:
        settings(**changes)
    return refusal.value


def pem(key: SigningKey) -> bytes:
    private = serialization.load_der_private_key(key.to_pkcs8(), None)
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture
def local(authority: FakeAuthority) -> dict[str, str]:
    return GOOD | {
        "ORDERS_ISSUER": authority.issuer,
        "ORDERS_INSECURE_ALLOW_HTTP_ON_LOOPBACK": "true",
        "ORDERS_RESOURCE": API,
        "ORDERS_SCOPE": "orders.read",
    }


@pytest.fixture
def secrets_seen(authority: FakeAuthority) -> list[str]:
    """The headers by which token requests proved who asks."""
    seen: list[str] = []

    def look(asked: Asked) -> None:
        seen.append(asked.headers.get("authorization", ""))

    authority.endpoints["/token"] = look
    return seen


def test_the_readmes_three_lines_print_what_the_api_answers(tmp_path: Path) -> None:
    """As printed: from the environment, over TLS, with a token."""
    readme = (ROOT / "README.md").read_text()
    block = readme.split("```python\n")[1].split("```")[0]
    assert 'Client.from_env("ORDERS").app_token(' in block
    with invented_hosts(tmp_path / "hosts") as environment:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert done.stdout == f"{ORDERS}\n", done.stderr[-2000:]


def test_scope_and_resource_of_the_variables_are_what_is_asked_for(
    local: dict[str, str], authority: FakeAuthority
) -> None:
    client = Client.from_env("ORDERS", environment=local)
    recipe = client.app_token()
    manager, slot = recipe.place()
    try:
        recipe.token()
        assert slot.key.scope == frozenset({"orders.read"})
        assert slot.key.resource == frozenset({API})
        other = client.app_token(scope="orders.write", resource="https://other.example")
        assert other.place()[1].key.scope == frozenset({"orders.write"})
        assert manager is client.tokens
    finally:
        client.close()


def test_the_environment_of_the_process_is_read_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in GOOD.items():
        monkeypatch.setitem(os.environ, name, value)
    client = Client.from_env("ORDERS")
    try:
        assert client.client_id == "reports"
    finally:
        client.close()


def test_a_manager_that_is_given_lends_its_clock(clock: FrozenClock) -> None:
    manager = TokenManager(clock=clock)
    client = Client.from_env("ORDERS", environment=GOOD, tokens=manager)
    try:
        assert client.authority.clock is clock
    finally:
        client.close()


@pytest.mark.parametrize("name", ["ISSUER", "CLIENT_ID"])
def test_what_is_missing_is_named(name: str) -> None:
    refusal = refused(**{name: None})

    assert str(refusal) == f"ORDERS_{name} is not set"
    assert refusal.variables == (f"ORDERS_{name}",)


@pytest.mark.parametrize("name", ["ISSUER", "CLIENT_ID", "CLIENT_SECRET", "SCOPE", "RESOURCE"])
@pytest.mark.parametrize("value", ["", "  "])
def test_a_template_that_was_not_filled_in_is_not_taken_for_unset(name: str, value: str) -> None:
    assert str(refused(**{name: value})) == f"ORDERS_{name} is set, and empty"


@pytest.mark.parametrize("name", ["ISSUER", "CLIENT_ID", "CLIENT_SECRET", "RESOURCE"])
@pytest.mark.parametrize("value", [f"{PLANTED}\n", f" {PLANTED}", f"{PLANTED}\0", f"a\r\n{PLANTED}"],
                         ids=["line break", "space", "NUL", "two lines"])  # fmt: skip
def test_what_was_pasted_with_something_around_it_is_named_and_not_quoted(
    name: str, value: str
) -> None:
    refusal = refused(**{name: value})

    assert refusal.variables == (f"ORDERS_{name}",)
    assert PLANTED not in str(refusal)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISSUER", PLANTED),
        ("ISSUER", f"http://{PLANTED}.example"),
        ("ISSUER", f"https://user:{PLANTED}@id.example"),
        ("ISSUER", "http://127.0.0.1:1"),
        ("SCOPE", f'"{PLANTED}"'),
        ("CLIENT_SECRET_METHOD", PLANTED),
        ("PUBLIC_CLIENT", PLANTED),
        ("ALLOW_PRIVATE_ADDRESSES", PLANTED),
        ("INSECURE_ALLOW_HTTP_ON_LOOPBACK", PLANTED),
    ],
)
def test_a_wrong_value_is_named_by_its_variable_alone(name: str, value: str) -> None:
    refusal = refused(**{name: value})

    assert refusal.variables == (f"ORDERS_{name}",)
    assert PLANTED not in str(refusal)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    refusal = refused(ISSUER=None, CLIENT_ID=None, SCOPE='"')

    assert refusal.variables == ("ORDERS_ISSUER", "ORDERS_CLIENT_ID", "ORDERS_SCOPE")
    assert len(str(refusal).splitlines()) == 3


@pytest.mark.parametrize("prefix", ["orders", "", "ORDERS_", "OR-DERS", "1ORDERS", "ORDERS\n"])
def test_a_prefix_that_no_variable_could_have_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        settings_from(prefix, GOOD)


class TestProof:
    """Exactly one way to prove who asks."""

    def test_none_is_not_taken_for_a_public_client(self) -> None:
        refusal = refused(CLIENT_SECRET=None)

        assert "ORDERS_CLIENT_SECRET exactly one" in str(refusal)
        assert "ORDERS_PUBLIC_CLIENT" in str(refusal)

    def test_two_are_refused_for_one_of_them_would_not_be_used(self) -> None:
        refusal = refused(TOKEN_FILE=f"/{PLANTED}")

        assert "ORDERS_CLIENT_SECRET, ORDERS_TOKEN_FILE" in str(refusal)
        assert PLANTED not in str(refusal)
        assert refused(PUBLIC_CLIENT="true").variables == ("ORDERS_CLIENT_SECRET",)

    def test_a_public_client_says_so(self) -> None:
        assert settings(CLIENT_SECRET=None, PUBLIC_CLIENT="true").proof == PublicClient()
        assert settings(PUBLIC_CLIENT="false").proof != PublicClient()

    def test_an_assertion_may_come_later_than_the_process(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        found = settings(CLIENT_SECRET=None, TOKEN_FILE=str(path))

        assert found.proof == FederatedAssertion(path)

    def test_a_secret_in_a_file_is_read_anew_for_every_request(
        self, local: dict[str, str], secrets_seen: list[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "secret"
        path.write_text("of-this-test-alone\n")
        del local["ORDERS_CLIENT_SECRET"]
        client = Client.from_env(
            "ORDERS", environment=local | {"ORDERS_CLIENT_SECRET_FILE": str(path)}
        )
        try:
            client.app_token(scope="a").token()
            path.write_text("rotated\r\n")
            client.app_token(scope="b").token()
            path.unlink()
            with pytest.raises(ProofUnavailable) as refusal:
                client.app_token(scope="c").token()
        finally:
            client.close()

        assert secrets_seen == [
            basic_header("reports", Secret("of-this-test-alone")),
            basic_header("reports", Secret("rotated")),
        ]
        assert refusal.value.retryable
        assert str(path) not in str(refusal.value)

    @pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.ES512, Algorithm.EDDSA])
    def test_a_private_key_tells_its_algorithm(self, algorithm: Algorithm, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        key = SigningKey.generate(algorithm)
        path.write_bytes(pem(key))
        proof = settings(CLIENT_SECRET=None, PRIVATE_KEY_FILE=str(path)).proof

        assert isinstance(proof, PrivateKeyJwt)
        assert callable(proof.key)
        assert (proof.key().algorithm, proof.key().kid) == (algorithm, key.kid)

    def test_an_rsa_key_signs_as_it_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(pem(SigningKey.generate(Algorithm.PS256)))
        told = settings(CLIENT_SECRET=None, PRIVATE_KEY_FILE=str(path),
                        PRIVATE_KEY_ALGORITHM="PS256", PRIVATE_KEY_ID="mine").proof  # fmt: skip
        by_itself = settings(CLIENT_SECRET=None, PRIVATE_KEY_FILE=str(path)).proof

        assert (told.key().algorithm, told.key().kid) == (Algorithm.PS256, "mine")
        assert by_itself.key().algorithm is Algorithm.RS256

    def test_a_key_that_is_replaced_signs_from_the_next_request_on(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        first, second = SigningKey.generate(Algorithm.ES256), SigningKey.generate(Algorithm.ES384)
        path.write_bytes(pem(first))
        proof = settings(CLIENT_SECRET=None, PRIVATE_KEY_FILE=str(path)).proof
        assert proof.key() is proof.key()  # loaded once
        path.write_bytes(pem(second))

        assert proof.key().kid == second.kid

    @pytest.mark.parametrize(
        "content",
        [b"", PLANTED.encode(), b"\xff\xfe", b"x" * 70_000, b"-----BEGIN PRIVATE KEY-----\n=\n-----END PRIVATE KEY-----",
         b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
         b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"],
        ids=["empty", "words", "octets", "long", "damaged", "no key", "encrypted"],
    )  # fmt: skip
    def test_a_file_without_a_key_is_named_by_its_variable(
        self, content: bytes, tmp_path: Path
    ) -> None:
        path = tmp_path / PLANTED
        path.write_bytes(content)
        refusal = refused(CLIENT_SECRET=None, PRIVATE_KEY_FILE=str(path))

        assert refusal.variables == ("ORDERS_PRIVATE_KEY_FILE",)
        assert PLANTED not in str(refusal)

    def test_a_key_that_does_not_fit_its_algorithm_is_refused_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(pem(SigningKey.generate(Algorithm.ES256)))
        wrong = {"CLIENT_SECRET": None, "PRIVATE_KEY_FILE": str(path)}

        assert refused(**wrong, PRIVATE_KEY_ALGORITHM="ES384").variables == (
            "ORDERS_PRIVATE_KEY_FILE",
        )
        assert refused(**wrong, PRIVATE_KEY_ALGORITHM="HS256").variables == (
            "ORDERS_PRIVATE_KEY_ALGORITHM",
        )

    @pytest.mark.parametrize(
        "kind", ["missing", "folder", "pipe", "empty", "two lines", "NUL in its name"]
    )
    @pytest.mark.parametrize("name", ["CLIENT_SECRET_FILE", "PRIVATE_KEY_FILE"])
    def test_what_is_no_such_file_is_refused_and_never_waited_for(
        self, kind: str, name: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "secret"
        match kind:
            case "folder":
                path.mkdir()
            case "pipe":
                os.mkfifo(path)
            case "empty":
                path.write_text("\n")
            case "two lines":
                path.write_text("a\nb\n")
        given = f"{path}\0" if kind == "NUL in its name" else str(path)

        assert refused(CLIENT_SECRET=None, **{name: given}).variables == (f"ORDERS_{name}",)

    def test_a_secret_is_shown_by_nothing_that_was_made_of_it(self) -> None:
        assert GOOD["ORDERS_CLIENT_SECRET"] not in repr(settings())
        assert GOOD["ORDERS_CLIENT_SECRET"] not in json.dumps(repr(settings().proof))
