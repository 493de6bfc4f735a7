"""Our client at npm `oidc-provider`, over TLS, with no patch on either side.

RFC 6749 §4.1 and §6, RFC 7636, RFC 7523 §2.2, RFC 7009 and RFC 8707 §2 as somebody else reads them.
"""

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from tests.interop.provider import API, OTHER_API, Provider, provider

from mintmark.client import (
    Authority,
    AuthorityUnavailable,
    Client,
    LoginFailed,
    LoginRequired,
    MemoryUserTokens,
    PrivateKeyJwt,
    SignedIn,
    TokenRefused,
)
from mintmark.fetch import FetchPolicy
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.authorization import Prompt
from mintmark.secret import Secret
from mintmark.testing import FrozenClock

pytestmark = pytest.mark.xdist_group("oidc-provider")

SCOPE = "openid offline_access orders.read"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with provider(tmp_path_factory.mktemp("oidc-provider")) as running:
        yield running


@pytest.fixture
def client(theirs: Provider) -> Iterator[Client]:
    made = theirs.client("web")
    yield made
    made.close()


def signed_in(theirs: Provider, client: Client, *resources: str) -> SignedIn:
    flow = client.login(redirect_uri=theirs.callback, scope=SCOPE, resource=resources or API)
    # Without this the provider gives no refresh token (OIDC Core §11).
    attempt = flow.begin(prompt=frozenset({Prompt.CONSENT}))
    return flow.finish(theirs.sign_in(attempt.url), attempt)


def claims(token: Secret) -> dict[str, Any]:
    """What the API would read; that the signature holds is not for the client."""
    payload = token.reveal().split(".")[1]
    read: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=="))
    return read


def test_a_person_signs_in_and_the_token_is_for_the_api(theirs: Provider, client: Client) -> None:
    came = signed_in(theirs, client)
    (held,) = came.tokens.access_tokens
    said = claims(held.access_token)

    assert came.id_token.sub == "alice"
    assert came.tokens.refresh_token is not None
    assert (said["iss"], said["aud"], said["sub"]) == (theirs.issuer, API, "alice")
    assert (said["client_id"], said["scope"]) == ("web", "orders.read")
    assert held.scope == {"orders.read"}


def test_renewals_rotate_and_a_second_use_ends_the_sign_in(
    theirs: Provider, client: Client
) -> None:
    first = signed_in(theirs, client).tokens
    session, store = Secret.generate(), MemoryUserTokens()
    store.begin(session, first)
    mine = client.user_token(session, store, scope="orders.read", resource=API)
    before = mine.token()
    mine.forget(before)
    after = mine.token()

    stored = store.load(session)
    assert stored is not None
    assert stored.refresh_token != first.refresh_token
    assert claims(before)["jti"] != claims(after)["jti"]
    # Somebody with a copy of the first one; then neither of the two goes on.
    thief, copies = theirs.client("web"), MemoryUserTokens()
    copies.begin(session, first)
    with pytest.raises(LoginRequired):
        renew(thief, session, copies)
    thief.close()
    with pytest.raises(LoginRequired):
        renew(client, session, store)


def renew(client: Client, session: Secret, store: MemoryUserTokens) -> Secret:
    """The token after the one that is held, as when an API has refused that."""
    mine = client.user_token(session, store, scope="orders.read", resource=API)
    mine.forget(mine.token())
    return mine.token()


def test_each_api_gets_a_token_of_its_own(theirs: Provider, client: Client) -> None:
    session, store = Secret.generate(), MemoryUserTokens()
    store.begin(session, signed_in(theirs, client, API, OTHER_API).tokens)
    for resource in (API, OTHER_API):
        token = client.user_token(session, store, scope="orders.read", resource=resource).token()
        assert claims(token)["aud"] == resource


def test_a_revoked_sign_in_is_not_renewed(theirs: Provider, client: Client) -> None:
    tokens = signed_in(theirs, client).tokens
    assert tokens.refresh_token is not None
    session, store = Secret.generate(), MemoryUserTokens()
    store.begin(session, tokens)
    client.revoke(tokens.refresh_token)

    with pytest.raises(LoginRequired):
        renew(client, session, store)


def test_a_key_that_is_not_registered_proves_nothing(theirs: Provider) -> None:
    stranger = theirs.client("web", proof=PrivateKeyJwt(SigningKey.generate(Algorithm.ES256)))
    with pytest.raises(LoginFailed) as failed:
        signed_in(theirs, stranger)
    with pytest.raises(TokenRefused):
        stranger.revoke(Secret.generate())
    stranger.close()

    assert failed.value.error == "invalid_client"


def test_an_assertion_from_a_clock_that_is_wrong_proves_nothing(theirs: Provider) -> None:
    late = theirs.client("web")
    late.authority.clock = FrozenClock()
    with pytest.raises(TokenRefused):
        late.revoke(Secret.generate())
    late.close()


def test_an_answer_is_good_for_its_own_attempt_and_once(theirs: Provider, client: Client) -> None:
    flow = client.login(redirect_uri=theirs.callback, scope="openid", resource=API)
    one, other = flow.begin(), flow.begin()
    back = theirs.sign_in(one.url)
    with pytest.raises(LoginFailed, match="state"):
        flow.finish(back, other)
    flow.finish(back, one)

    with pytest.raises(LoginFailed) as failed:
        flow.finish(back, one)
    assert failed.value.error == "invalid_grant"


def test_a_certificate_that_nobody_trusts_is_no_server(theirs: Provider) -> None:
    blind = Authority(theirs.issuer, policy=FetchPolicy(allow_private_addresses=True))
    with pytest.raises(AuthorityUnavailable):
        blind.metadata()
    blind.close()


def test_who_signed_in_long_ago_is_asked_again(theirs: Provider, client: Client) -> None:
    flow = client.login(redirect_uri=theirs.callback, scope="openid", resource=API)
    attempt = flow.begin(max_age=timedelta(minutes=5))

    assert flow.finish(theirs.sign_in(attempt.url), attempt).id_token.auth_time is not None


def test_the_request_is_pushed_and_the_browser_carries_its_name_alone(
    theirs: Provider, client: Client
) -> None:
    """RFC 9126 §2 and §4: the provider offers it, so there is no other way."""
    attempt = client.login(redirect_uri=theirs.callback, scope=SCOPE, resource=API).begin()
    carried = parse_qs(urlsplit(attempt.url).query)

    assert set(carried) == {"client_id", "request_uri"}
    assert carried["request_uri"][0].startswith("urn:ietf:params:oauth:request_uri:")
    assert attempt.url_ends is not None


def test_a_client_that_must_push_signs_people_in(theirs: Provider) -> None:
    strict = theirs.client("web-par")
    assert signed_in(theirs, strict).id_token.sub == "alice"
    strict.close()


def test_a_pushed_request_that_is_not_allowed_is_refused_before_a_browser_moves(
    theirs: Provider, client: Client
) -> None:
    flow = client.login(redirect_uri="https://evil.example/callback", scope="openid", resource=API)
    with pytest.raises(LoginFailed) as failed:
        flow.begin()
    assert failed.value.error in {"invalid_redirect_uri", "invalid_request"}
