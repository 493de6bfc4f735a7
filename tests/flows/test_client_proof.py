"""Our client and our server, over loopback: a client that signs (OIDC Core §9, RFC 7523 §2.2)."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Folder

from mintmark.client import (
    AssertionAudience,
    Authority,
    Client,
    FederatedAssertion,
    PrivateKeyJwt,
    TokenRefused,
)
from mintmark.fetch import FetchPolicy
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.client_assertion import make_client_assertion
from mintmark.secret import Secret

KEY, NEXT_KEY = SigningKey.generate(Algorithm.ES256), SigningKey.generate(Algorithm.EDDSA)
API = "https://orders.example"
TOML = """
issuer = "{issuer}"
insecure_allow_http_on_loopback = true
master_key = {{ env = "MASTER_KEY" }}
[scopes]
"orders.read" = "See your orders"
[[resources]]
identifier = "https://orders.example"
scopes = ["orders.read"]
[[clients]]
client_id = "reports"
name = "Reports"
method = "private_key_jwt"
jwks = {{ file = "reports.jwks.json" }}
grant_types = ["client_credentials"]
scopes = ["orders.read"]
"""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mintmark serve` with a client that signs."""
    path = tmp_path_factory.mktemp("signing")
    environment = {
        "MASTER_KEY": secrets.token_urlsafe(32), "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }  # fmt: skip
    folder = Folder(path, environment)
    (path / "reports.jwks.json").write_bytes(KeySet.of(KEY.public, NEXT_KEY.public).to_json())
    folder.config.write_text(TOML.format(issuer=folder.issuer))
    with folder.running():
        yield folder.issuer


@pytest.fixture
def authority(issuer: str) -> Iterator[Authority]:
    made = Authority(issuer, policy=FetchPolicy(insecure_allow_http_on_loopback=True))
    yield made
    made.close()


def fetch(authority: Authority, proof: Any) -> Secret:
    client = Client(authority, client_id="reports", proof=proof)
    try:
        return client.app_token(scope="orders.read", resource=API).token()
    finally:
        client.tokens.close()


@pytest.mark.parametrize("audience", list(AssertionAudience))
@pytest.mark.parametrize("key", [KEY, NEXT_KEY], ids=["ES256", "EdDSA"])
def test_a_client_that_signs_gets_tokens_however_often_it_asks(
    authority: Authority, audience: AssertionAudience, key: SigningKey
) -> None:
    proof = PrivateKeyJwt(key, audience=audience)

    tokens = {fetch(authority, proof) for _ in range(5)}

    assert len(tokens) == 5


def test_a_key_that_is_changed_while_the_client_runs_is_used_at_once(authority: Authority) -> None:
    keys = [KEY]
    client = Client(authority, client_id="reports", proof=PrivateKeyJwt(lambda: keys[-1]))
    recipe = client.app_token(scope="orders.read", resource=API)

    first = recipe.token()
    keys.append(NEXT_KEY)
    recipe.forget(first)

    assert recipe.token() != first
    client.tokens.close()


def test_revocation_is_proved_the_same_way(authority: Authority) -> None:
    client = Client(authority, client_id="reports", proof=PrivateKeyJwt(KEY))

    client.revoke(Secret("a-refresh-token-of-nobody"))  # RFC 7009 §2.2: answered as if it had been

    with pytest.raises(TokenRefused):
        stranger = PrivateKeyJwt(SigningKey.generate(Algorithm.ES256))
        Client(authority, client_id="reports", proof=stranger).revoke(Secret("a-refresh-token"))
    client.tokens.close()


def test_s43_replayed_expired_or_for_another_audience_it_is_invalid_client(
    authority: Authority, tmp_path: Path
) -> None:
    """W-101: the same assertion from a file, sent again, is what a client must never do."""
    file, now = tmp_path / "assertion", authority.clock.timestamp()

    def write(**changes: Any) -> None:
        settings = {"client_id": "reports", "audience": authority.issuer, "now": now, **changes}
        file.write_text(make_client_assertion(KEY, **settings).reveal())

    write()
    fetch(authority, FederatedAssertion(file))
    refused = []
    for changes in (None, {"now": now - 300}, {"audience": "https://other.example"}):
        if changes is not None:
            write(**changes)
        with pytest.raises(TokenRefused) as refusal:
            fetch(authority, FederatedAssertion(file))
        refused.append(str(refusal.value))

    assert refused == ["invalid_client: client authentication failed"] * 3
