"""What the server says of tokens, and to whom (RFC 7662 §2.1, RFC 7662 §2.2, RFC 7662 §4, RFC 9701 §5)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import ISSUER, SECOND, claims_of, require_refusal
from tests.server.exchanging import ORDERS, STOCK, Exchanging, opened

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import ClaimRefused, JoseError
from mintmark.protocol.introspection import (
    MEDIA_TYPE,
    read_introspection,
    read_signed_introspection,
    require_active,
)
from mintmark.testing import FrozenClock
from mintmark.testing.proofs import ProofKey


@pytest.fixture
async def server(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Exchanging]:
    async with opened(tmp_path, clock) as made:
        yield made


INACTIVE = {"active": False}


async def said(server: Exchanging, token: str, by: str) -> dict[str, Any]:
    answer = await server.introspect(token, by)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    members: dict[str, Any] = answer.json()
    return members


class TestAccessTokens:
    async def test_its_own_api_and_its_own_client_learn_what_it_says(
        self, server: Exchanging
    ) -> None:
        token = await server.caller_token()

        to_api, to_client = await said(server, token, "orders"), await said(server, token, "web")

        assert to_api == to_client
        assert (to_api["active"], to_api["token_type"]) == (True, "Bearer")
        claims = claims_of(token)
        del claims["grant_id"]
        assert claims.items() <= to_api.items()
        assert "grant_id" not in to_api

    async def test_our_own_apis_read_it_as_they_read_a_jwt(self, server: Exchanging) -> None:
        """The actors too, of a token that was exchanged."""
        token = (await server.ask(await server.caller_token())).json()["access_token"]

        answer = await server.introspect(token, "stock")

        read = require_active(
            read_introspection(answer.content), issuer=ISSUER, audience=STOCK, now=server.now
        )
        assert (read.sub, read.client_id, read.scopes) == (
            "1-alice",
            "orders",
            frozenset({"stock.read"}),
        )
        assert read.claims["act"] == {"sub": "orders"}

    @pytest.mark.parametrize("by", ["stock", "plain", "job"])
    async def test_anybody_else_learns_nothing(self, server: Exchanging, by: str) -> None:
        assert await said(server, await server.caller_token(), by) == INACTIVE

    async def test_an_applications_own_token_is_answered_for(self, server: Exchanging) -> None:
        answer = await server.endpoint.token(grant_type="client_credentials", scope="orders.read")
        token = answer.json()["access_token"]

        assert (await said(server, token, "orders"))["sub"] == "web"
        assert await said(server, token, "stock") == INACTIVE

    async def test_what_is_over_changed_or_of_another_kind_is_not_active(
        self, server: Exchanging
    ) -> None:
        sign_in = await server.endpoint.sign_in("openid orders.read")
        body = (await server.endpoint.exchange(sign_in)).json()
        token = body["access_token"]
        for bad in (
            token[:-2], body["id_token"], "x", "a.b.c", "é.é.é", server.forged(token, iss="https://o.example"),
            server.forged(token, exp=server.now, iat=server.now - 9), server.forged(token, aud=[ORDERS, STOCK]),
        ):  # fmt: skip
            assert await said(server, bad, "orders") == INACTIVE

    @pytest.mark.parametrize(("after", "lives"), [(599, True), (600, False)])
    async def test_it_ends_on_the_second(self, server: Exchanging, after: int, lives: bool) -> None:
        token = await server.caller_token()
        server.endpoint.clock.advance(after * SECOND)

        assert (await said(server, token, "orders"))["active"] is lives

    async def test_s30_revocation_is_known_at_once(self, server: Exchanging) -> None:
        """Of the token itself, and of what it was exchanged for."""
        sign_in = await server.endpoint.sign_in("offline_access orders.read")
        body = (await server.endpoint.exchange(sign_in)).json()
        second = (await server.ask(body["access_token"])).json()["access_token"]
        assert (await said(server, second, "stock"))["active"] is True

        await server.endpoint.http.post(
            "/revoke", data={"token": body["refresh_token"]}, headers=server.endpoint.headers()
        )

        assert await said(server, body["access_token"], "orders") == INACTIVE
        assert await said(server, second, "stock") == INACTIVE

    async def test_a_disabled_account_is_known_at_once(self, server: Exchanging) -> None:
        token = await server.caller_token()
        account = await server.endpoint.account()
        await server.endpoint.server.stores.accounts.put(replace(account, disabled=True))

        assert await said(server, token, "orders") == INACTIVE

    async def test_a_bound_one_is_called_so(self, server: Exchanging) -> None:
        key = ProofKey.generate()
        proof = key.proof("POST", f"{ISSUER}/token", now=server.now, token="")
        form = {"grant_type": "client_credentials", "scope": "orders.read"}
        token = (await server.post(form, "web", {"dpop": proof})).json()["access_token"]

        members = await said(server, token, "orders")

        assert members["token_type"] == "DPoP"
        assert members["cnf"] == {"jkt": key.thumbprint}


class TestRefreshTokens:
    async def test_its_client_learns_what_it_is_and_no_api_takes_it(
        self, server: Exchanging
    ) -> None:
        token = await server.endpoint.refresh_token()

        members = await said(server, token, "web")

        assert members["active"] is True
        assert (members["sub"], members["client_id"]) == ("1-alice", "web")
        assert members["exp"] - members["iat"] == timedelta(days=14).total_seconds()
        assert await said(server, token, "orders") == INACTIVE
        answer = read_introspection((await server.introspect(token, "web")).content)
        with pytest.raises(ClaimRefused):
            require_active(answer, issuer=ISSUER, audience=ORDERS, now=server.now)

    async def test_a_spent_one_is_not_active_and_its_successor_is(self, server: Exchanging) -> None:
        token = await server.endpoint.refresh_token()
        successor = (await server.endpoint.refresh(token)).json()["refresh_token"]

        assert await said(server, token, "web") == INACTIVE
        assert (await said(server, successor, "web"))["active"] is True

    @pytest.mark.parametrize(("after", "lives"), [(14 * 86400 - 1, True), (14 * 86400, False)])
    async def test_it_ends_on_the_second(self, server: Exchanging, after: int, lives: bool) -> None:
        token = await server.endpoint.refresh_token()
        server.endpoint.clock.advance(after * SECOND)

        assert (await said(server, token, "web"))["active"] is lives

    async def test_of_a_disabled_account_or_a_revoked_family_it_is_not_active(
        self, server: Exchanging
    ) -> None:
        first, second = [await server.endpoint.refresh_token() for _ in range(2)]
        await server.endpoint.http.post(
            "/revoke", data={"token": first}, headers=server.endpoint.headers()
        )
        assert await said(server, first, "web") == INACTIVE
        assert (await said(server, second, "web"))["active"] is True

        account = await server.endpoint.account()
        await server.endpoint.server.stores.accounts.put(replace(account, disabled=True))

        assert await said(server, second, "web") == INACTIVE


class TestWhoAsks:
    async def test_nobody_without_proof(self, server: Exchanging) -> None:
        http, token = server.endpoint.http, await server.caller_token()

        nobody = await http.post("/introspect", data={"token": token})
        public = await http.post("/introspect", data={"token": token, "client_id": "phone"})
        wrong = await http.post("/introspect", data={"token": token}, auth=("orders", "x" * 43))

        require_refusal(nobody, "invalid_client", 401)
        require_refusal(public, "unauthorized_client")
        require_refusal(wrong, "invalid_client", 401)

    async def test_a_question_without_a_token_is_none(self, server: Exchanging) -> None:
        headers = server.endpoint.headers("orders")

        require_refusal(
            await server.endpoint.http.post("/introspect", data={}, headers=headers),
            "invalid_request",
        )
        assert (await server.endpoint.http.get("/introspect", headers=headers)).status_code == 405

    async def test_the_metadata_says_where_and_how(self, server: Exchanging) -> None:
        """RFC 9701 §7."""
        body = (await server.endpoint.http.get("/.well-known/oauth-authorization-server")).json()

        assert body["introspection_endpoint"] == f"{ISSUER}/introspect"
        assert "none" not in body["introspection_endpoint_auth_methods_supported"]
        assert "private_key_jwt" in body["introspection_endpoint_auth_methods_supported"]
        assert body["introspection_signing_alg_values_supported"] == ["ES256"]


class TestSigned:
    async def test_a_signed_answer_is_for_whom_asked(self, server: Exchanging) -> None:
        token = await server.caller_token()

        answer = await server.introspect(token, "orders", accept=MEDIA_TYPE)

        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.headers["cache-control"] == "no-store"
        how: dict[str, Any] = {
            "issuer": ISSUER, "keys": server.endpoint.server.keys.key_set,
            "algorithms": ALL_ALGORITHMS, "now": server.now,
        }  # fmt: skip
        read = read_signed_introspection(answer.text, audiences={"orders"}, **how)
        assert require_active(read, issuer=ISSUER, audience=ORDERS, now=server.now).sub == "1-alice"
        with pytest.raises(JoseError):
            read_signed_introspection(answer.text, audiences={"web"}, **how)
        assert {"sub", "exp", "active"}.isdisjoint(claims_of(answer.text))

    async def test_that_a_token_is_not_active_is_signed_too(self, server: Exchanging) -> None:
        answer = await server.introspect("x", "orders", accept=f"{MEDIA_TYPE}, application/json")

        assert claims_of(answer.text)["token_introspection"] == INACTIVE

    async def test_it_may_be_asked_for_in_a_field_of_its_own(self, server: Exchanging) -> None:
        """RFC 9110 §5.3: two fields of one name are a list."""
        headers = [
            ("authorization", server.endpoint.headers("orders")["authorization"]),
            ("accept", "text/html"),
            ("accept", MEDIA_TYPE),
        ]
        http = server.endpoint.http

        answer = await http.post("/introspect", data={"token": "x"}, headers=headers)

        assert answer.headers["content-type"] == MEDIA_TYPE

    async def test_a_signed_answer_is_no_token(self, server: Exchanging) -> None:
        token = await server.caller_token()
        answer = await server.introspect(token, "orders", accept=MEDIA_TYPE)

        require_refusal(await server.ask(answer.text), "invalid_request")
        assert await said(server, answer.text, "orders") == INACTIVE
