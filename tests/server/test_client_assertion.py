"""Clients that prove themselves by a signature: RFC 7523 §3, RFC 7521 §4.2, RFC 8414 §2, OIDC Core §9."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.jose.forge import ES256, RS256
from tests.server.conftest import ISSUER, SETTINGS, Endpoint, require_refusal
from tests.server.events import Recorded

from mintmark.app import Settings, SettingsRefused, build, require_usable
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.client_assertion import CLIENT_ASSERTION_TYPE, make_client_assertion
from mintmark.server.events import ClientRefused
from mintmark.server.stores import StoreUnavailable
from mintmark.storage.sql.migrations import migrate
from mintmark.storage.sql.stores import SqlStores
from mintmark.testing import FrozenClock

TOKEN = ISSUER + "/token"
SIGNING = """
[[clients]]
client_id = "{name}"
name = "Signing"
method = "private_key_jwt"
jwks = {{ file = "{name}.jwks.json" }}
grant_types = ["client_credentials", "refresh_token"]
scopes = ["stock.read"]
"""


def jwks(*keys: SigningKey) -> str:
    return json.dumps({"keys": [key.public.to_jwk() for key in keys]})


@pytest.fixture
async def endpoint(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Endpoint]:
    """The server of the other tests, with two clients that sign."""
    environment = {
        name: secrets.token_urlsafe(32) for name in ("MASTER", "WEB", "WEB_OLD", "POSTING")
    }
    config = tmp_path / "mintmark.toml"
    config.write_text(SETTINGS + SIGNING.format(name="signing") + SIGNING.format(name="other"))
    (tmp_path / "signing.jwks.json").write_text(jwks(ES256, RS256))
    (tmp_path / "other.jwks.json").write_text(jwks(OTHER))
    parts = require_usable(Settings.load(config), tmp_path, environment)
    path = tmp_path / "server.sqlite3"
    migrate(path)
    events = Recorded()
    server = await build(parts, SqlStores.open(path), clock=clock, events=events)
    made = Endpoint(server, clock, environment, events)
    yield made
    await made.http.aclose()
    server.close()


OTHER = SigningKey.generate(Algorithm.ES256)


def assertion(endpoint: Endpoint, key: SigningKey = ES256, **changes: Any) -> str:
    settings = {
        "client_id": "signing", "audience": ISSUER, "now": endpoint.clock.timestamp(), **changes,
    }  # fmt: skip
    return make_client_assertion(key, **settings).reveal()


def proof(made: str, **changes: Any) -> dict[str, str]:
    form = {"client_assertion_type": CLIENT_ASSERTION_TYPE, "client_assertion": made, **changes}
    return {name: value for name, value in form.items() if value is not None}


async def ask(endpoint: Endpoint, made: str, /, **changes: Any) -> httpx2.Response:
    form = {"grant_type": "client_credentials", "client_id": "signing", **proof(made, **changes)}
    return await endpoint.http.post("/token", data=form)


def require_same_refusal(answer: httpx2.Response) -> None:
    """What was wrong is for the log alone."""
    require_refusal(answer, "invalid_client", 401)
    assert answer.json()["error_description"] == "client authentication failed"


class TestAccepted:
    @pytest.mark.parametrize("key", [ES256, RS256], ids=["ES256", "RS256"])
    @pytest.mark.parametrize("audience", [ISSUER, TOKEN])
    async def test_a_signature_of_either_key_for_either_name_of_the_server_is_proof(
        self, endpoint: Endpoint, key: SigningKey, audience: str
    ) -> None:
        answer = await ask(endpoint, assertion(endpoint, key, audience=audience))

        assert answer.status_code == 200
        assert answer.json()["scope"] == "stock.read"

    async def test_the_assertion_alone_says_whose_it_is(self, endpoint: Endpoint) -> None:
        """RFC 7521 §4.2: `client_id` may be left out."""
        form = {"grant_type": "client_credentials", **proof(assertion(endpoint))}

        assert (await endpoint.http.post("/token", data=form)).status_code == 200

    async def test_the_revocation_endpoint_asks_for_the_same_proof(
        self, endpoint: Endpoint
    ) -> None:
        made = assertion(endpoint)
        form = {"token": "of-nobody", **proof(made)}

        first = await endpoint.http.post("/revoke", data=form)
        again = await endpoint.http.post("/revoke", data=form)

        assert first.status_code == 200
        require_same_refusal(again)

    async def test_the_metadata_says_so_by_itself(self, endpoint: Endpoint) -> None:
        body = (await endpoint.http.get("/.well-known/oauth-authorization-server")).json()

        for name in ("token_endpoint", "revocation_endpoint"):
            assert "private_key_jwt" in body[f"{name}_auth_methods_supported"]
            algorithms = body[f"{name}_auth_signing_alg_values_supported"]
            assert {"ES256", "PS256", "EdDSA"} <= set(algorithms)
            assert not {"none", "HS256"} & set(algorithms)


class TestRefused:
    async def test_s43_a_replayed_one_is_refused_everywhere(self, endpoint: Endpoint) -> None:
        """W-101: what was made once and is used again is a password."""
        made = assertion(endpoint)
        assert (await ask(endpoint, made)).status_code == 200

        require_same_refusal(await ask(endpoint, made))
        require_same_refusal(
            await endpoint.http.post("/revoke", data={"token": "x", **proof(made)})
        )

    async def test_s43_a_replay_is_refused_until_it_has_ended_by_itself(
        self, endpoint: Endpoint
    ) -> None:
        made = assertion(endpoint)
        await ask(endpoint, made)
        stores = endpoint.server.stores
        assert isinstance(stores, SqlStores)

        for _ in range(10):
            endpoint.clock.advance(timedelta(seconds=10))
            await stores.prune(now=endpoint.clock.now())
            require_same_refusal(await ask(endpoint, made))

    async def test_s43_of_fifteen_at_once_one_is_answered(self, endpoint: Endpoint) -> None:
        made = assertion(endpoint)

        answers = await asyncio.gather(*(ask(endpoint, made) for _ in range(15)))

        assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 14}

    @pytest.mark.parametrize(("age", "lives"), [(89, True), (90, False)])
    async def test_s43_an_expired_one_is_refused_on_the_second(
        self, endpoint: Endpoint, age: int, *, lives: bool
    ) -> None:
        """A minute, and half a minute for clocks that differ."""
        made = assertion(endpoint, now=int(endpoint.clock.timestamp()) - age)

        answer = await ask(endpoint, made)

        if lives:
            assert answer.status_code == 200
        else:
            require_same_refusal(answer)

    @pytest.mark.parametrize(
        "audience", ["https://other.example", ISSUER + "/", TOKEN + "/", ISSUER + "/revoke", ""]
    )
    async def test_s43_one_for_another_audience_is_refused(
        self, endpoint: Endpoint, audience: str
    ) -> None:
        require_same_refusal(await ask(endpoint, assertion(endpoint, audience=audience)))

    async def test_another_clients_signature_is_refused(self, endpoint: Endpoint) -> None:
        foreign = assertion(endpoint, OTHER)
        own = assertion(endpoint, OTHER, client_id="other")

        require_same_refusal(await ask(endpoint, foreign))
        require_same_refusal(await ask(endpoint, own))
        assert (await ask(endpoint, own, client_id="other")).status_code == 200

    async def test_what_was_refused_uses_nothing_up(self, endpoint: Endpoint) -> None:
        made = assertion(endpoint)
        spoilt = made[:-8] + ("A" * 8 if not made.endswith("A" * 8) else "B" * 8)
        require_same_refusal(await ask(endpoint, spoilt))

        assert (await ask(endpoint, made)).status_code == 200

    async def test_the_same_jti_of_another_client_is_another(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secrets, "token_urlsafe", lambda _: "the-same-jti")

        assert (await ask(endpoint, assertion(endpoint))).status_code == 200
        other = assertion(endpoint, OTHER, client_id="other")
        assert (await ask(endpoint, other, client_id="other")).status_code == 200
        require_same_refusal(await ask(endpoint, assertion(endpoint, RS256)))

    @pytest.mark.parametrize("client_id", ["web", "posting", "phone", "nobody"])
    async def test_a_client_of_another_method_cannot_sign(
        self, endpoint: Endpoint, client_id: str
    ) -> None:
        made = assertion(endpoint, client_id=client_id)

        require_same_refusal(await ask(endpoint, made, client_id=client_id))

    async def test_a_client_that_signs_has_no_other_way(self, endpoint: Endpoint) -> None:
        own = {"grant_type": "client_credentials", "client_id": "signing"}

        for form in (own, {**own, "client_secret": endpoint.secrets["WEB"]}):
            require_same_refusal(await endpoint.http.post("/token", data=form))

    async def test_guesses_are_slowed_down_as_with_secrets(self, endpoint: Endpoint) -> None:
        for _ in range(20):
            await ask(endpoint, "not.an.assertion")

        require_same_refusal(await ask(endpoint, assertion(endpoint)))
        endpoint.clock.advance(timedelta(minutes=1))
        assert (await ask(endpoint, assertion(endpoint))).status_code == 200

    async def test_the_log_says_why_and_quotes_nothing(self, endpoint: Endpoint) -> None:
        made = assertion(endpoint)
        await ask(endpoint, made)
        await ask(endpoint, made)
        await ask(endpoint, assertion(endpoint, audience="https://other.example"))

        reasons = [e.reason for e in endpoint.events.events if isinstance(e, ClientRefused)]
        assert reasons == [
            "the assertion was used before", "assertion: aud is not this server alone",
        ]  # fmt: skip

    async def test_when_nobody_can_say_whether_it_was_used_nothing_is_issued(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def unavailable(*_: object, **__: object) -> None:
            raise StoreUnavailable("the disk is full")

        monkeypatch.setattr(endpoint.server.stores.assertions, "claim", unavailable)

        answer = await ask(endpoint, assertion(endpoint))

        require_refusal(answer, "temporarily_unavailable", 503)


class TestMalformed:
    """RFC 6749 §2.3, RFC 7521 §4.2: one way, whole."""

    @pytest.mark.parametrize(
        ("changes", "error", "status"),
        [
            ({"client_secret": "x"}, "invalid_request", 400),
            ({"client_assertion": None}, "invalid_request", 400),
            ({"client_assertion_type": None}, "invalid_request", 400),
            ({"client_assertion_type": "urn:x"}, "invalid_client", 401),
            ({"client_assertion": "a.b", "client_id": None}, "invalid_client", 401),
            ({"client_assertion": "." * 20_000}, "invalid_client", 401),
            ({"client_assertion": "ä.ö.ü"}, "invalid_client", 401),
        ],
        ids=[
            "and a secret",
            "no assertion",
            "no type",
            "another type",
            "unreadable",
            "dots",
            "text",
        ],
    )
    async def test_it_is_refused(
        self, endpoint: Endpoint, changes: dict[str, Any], error: str, status: int
    ) -> None:
        form = {
            "grant_type": "client_credentials", "client_id": "signing",
            **proof(assertion(endpoint)), **changes,
        }  # fmt: skip
        sent = {name: value for name, value in form.items() if value is not None}

        require_refusal(await endpoint.http.post("/token", data=sent), error, status)

    async def test_a_header_beside_it_is_one_way_too_many(self, endpoint: Endpoint) -> None:
        form = proof(assertion(endpoint))

        answer = await endpoint.token("web", grant_type="client_credentials", **form)

        require_refusal(answer, "invalid_request")


PRIVATE = {**ES256.public.to_jwk(), "d": "AAAA"}


class TestSettings:
    def usable(self, folder: Path, lines: str) -> Any:
        config = folder / "mintmark.toml"
        config.write_text(
            SETTINGS
            + '[[clients]]\nclient_id = "s"\nname = "S"\nscopes = ["stock.read"]\n'
            + 'grant_types = ["client_credentials"]\n'
            + lines
        )
        environment = {
            name: secrets.token_urlsafe(32) for name in ("MASTER", "WEB", "WEB_OLD", "POSTING")
        }
        return require_usable(Settings.load(config), folder, environment).clients.find("s")

    def test_the_keys_may_stand_in_the_settings(self, tmp_path: Path) -> None:
        members = ", ".join(f'{k} = "{v}"' for k, v in ES256.public.to_jwk().items())

        client = self.usable(
            tmp_path, f'method = "private_key_jwt"\njwks = {{ keys = [{{ {members} }}] }}'
        )

        assert [key.thumbprint() for key in client.keys.keys] == [ES256.public.thumbprint()]

    @pytest.mark.parametrize(
        ("lines", "reason"),
        [
            ('method = "private_key_jwt"', "needs jwks"),
            (
                'method = "private_key_jwt"\njwks = { file = "good" }\nsecrets = [{ env = "WEB" }]',
                "no secrets",
            ),
            ('method = "private_key_jwt"\njwks = {}', "exactly one"),
            ('method = "private_key_jwt"\njwks = { file = "good", keys = [] }', "exactly one"),
            ('method = "private_key_jwt"\njwks = { keys = [] }', "no key"),
            ('method = "private_key_jwt"\njwks = { keys = [{ kty = 1979-05-27 }] }', "kty"),
            ('method = "private_key_jwt"\njwks = { file = "missing" }', "No such file"),
            ('method = "private_key_jwt"\njwks = { file = "private" }', "private members"),
            ('method = "private_key_jwt"\njwks = { file = "twice" }', "several keys"),
            ('method = "private_key_jwt"\njwks = { file = "garbage" }', "jwks"),
            ('method = "private_key_jwt"\njwks = { fil = "good" }', "did you mean file"),
        ],
    )
    def test_what_could_not_work_is_refused_at_the_start(
        self, tmp_path: Path, lines: str, reason: str
    ) -> None:
        (tmp_path / "good").write_text(jwks(ES256))
        (tmp_path / "private").write_text(json.dumps({"keys": [PRIVATE]}))
        (tmp_path / "twice").write_text(jwks(ES256, ES256))
        (tmp_path / "garbage").write_bytes(b"\xff\x00")

        with pytest.raises(SettingsRefused, match=reason):
            self.usable(tmp_path, lines)
