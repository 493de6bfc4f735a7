"""Codes and refresh tokens at the token endpoint."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.server.conftest import ISSUER, SECOND, Endpoint, claims_of, require_refusal

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.protocol.id_token import check_id_token
from mintmark.secret import Secret


class TestAuthorizationCode:
    """RFC 6749 §4.1.2, RFC 6749 §4.1.3, RFC 7636 §4.6."""

    async def test_a_code_becomes_tokens_that_say_who_and_when(self, endpoint: Endpoint) -> None:
        sign_in = await endpoint.sign_in("openid profile email offline_access orders.read")

        body = (await endpoint.exchange(sign_in)).json()

        access = claims_of(body["access_token"])
        assert (access["sub"], access["client_id"], access["aud"]) == (
            "1-alice",
            "web",
            "https://orders.example",
        )
        assert (access["sid"], access["amr"], access["auth_time"]) == (
            sign_in.sid,
            ["pwd"],
            int(endpoint.clock.timestamp()),
        )
        id_token = check_id_token(
            Secret(body["id_token"]), issuer=ISSUER, client_id="web", keys=endpoint.server.keys.key_set,
            algorithms=ALL_ALGORITHMS, nonce=Secret("nonce-of-this-test"), now=endpoint.clock.now(),
            access_token=Secret(body["access_token"]),
        )  # fmt: skip
        assert (id_token.sub, id_token.sid) == ("1-alice", sign_in.sid)
        assert (id_token.claims["name"], id_token.claims["email"]) == (
            "Alice Liddell",
            "alice@wonderland.example",
        )
        assert len(body["refresh_token"]) == 43

    async def test_claims_follow_the_scope(self, endpoint: Endpoint) -> None:
        """OIDC Core §5.4; OIDC Core §11 for the refresh token."""
        body = (await endpoint.exchange(await endpoint.sign_in("openid orders.read"))).json()

        assert "refresh_token" not in body
        assert "name" not in claims_of(body["id_token"])
        without = (await endpoint.exchange(await endpoint.sign_in("orders.read"))).json()
        assert "id_token" not in without

    @pytest.mark.parametrize(
        "changes",
        [
            {"code": "another-code"}, {"code_verifier": None}, {"code_verifier": "a" * 43},
            {"redirect_uri": "https://app.example/callback/"},
        ],
    )  # fmt: skip
    async def test_s17_a_wrong_exchange_is_refused(
        self, endpoint: Endpoint, changes: dict[str, str | None]
    ) -> None:
        answer = await endpoint.exchange(await endpoint.sign_in(), **changes)

        require_refusal(answer, "invalid_grant")
        assert answer.json()["error_description"] == "the authorization code is not valid"

    async def test_another_client_cannot_use_a_code(self, endpoint: Endpoint) -> None:
        sign_in = await endpoint.sign_in()
        form = {
            "grant_type": "authorization_code", "code": sign_in.code.reveal(), "client_id": "phone",
            "redirect_uri": "https://app.example/callback", "code_verifier": sign_in.verifier.reveal(),
        }  # fmt: skip

        require_refusal(await endpoint.token(None, **form), "invalid_grant")

    @pytest.mark.parametrize(("after", "lives"), [(59, True), (60, False)])
    async def test_a_code_ends_on_the_second(
        self, endpoint: Endpoint, after: int, *, lives: bool
    ) -> None:
        sign_in = await endpoint.sign_in()
        endpoint.clock.advance(timedelta(seconds=after))

        assert ((await endpoint.exchange(sign_in)).status_code == 200) is lives

    async def test_s17_a_replayed_code_ends_what_came_of_it(self, endpoint: Endpoint) -> None:
        sign_in = await endpoint.sign_in()
        token = (await endpoint.exchange(sign_in)).json()["refresh_token"]

        require_refusal(await endpoint.exchange(sign_in), "invalid_grant")

        require_refusal(await endpoint.refresh(token), "invalid_grant")
        assert "code.reused" in endpoint.events.names()

    async def test_of_twenty_at_once_one_gets_tokens(self, endpoint: Endpoint) -> None:
        sign_in = await endpoint.sign_in()

        answers = await asyncio.gather(*(endpoint.exchange(sign_in) for _ in range(20)))

        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19

    async def test_several_apis_are_chosen_from_one_sign_in(self, endpoint: Endpoint) -> None:
        """RFC 8707 §2.1, RFC 8707 §2.2."""
        more = {"resource": ["https://orders.example", "https://stock.example"]}
        scope = "openid offline_access orders.read stock.read"
        require_refusal(await endpoint.exchange(await endpoint.sign_in(scope)), "invalid_target")

        body = (
            await endpoint.exchange(await endpoint.sign_in(scope), resource="https://stock.example")
        ).json()
        orders = (
            await endpoint.refresh(body["refresh_token"], resource="https://orders.example")
        ).json()

        assert (claims_of(body["access_token"])["aud"], body["scope"]) == (
            "https://stock.example",
            "stock.read",
        )
        assert (claims_of(orders["access_token"])["aud"], orders["scope"]) == (
            "https://orders.example",
            "orders.read",
        )
        assert more


class TestS13Rotation:
    """RFC 9700 §4.14.2: a refresh token works once, and a replay ends the family."""

    async def test_each_refresh_gives_the_next_token(self, endpoint: Endpoint) -> None:
        first = await endpoint.refresh_token()

        second = (await endpoint.refresh(first)).json()
        third = (await endpoint.refresh(second["refresh_token"])).json()

        assert len({first, second["refresh_token"], third["refresh_token"]}) == 3
        assert claims_of(third["access_token"])["sub"] == "1-alice"
        assert "nonce" not in claims_of(third["id_token"])

    async def test_within_the_grace_the_same_successor_comes_again(
        self, endpoint: Endpoint
    ) -> None:
        first = await endpoint.refresh_token()
        second = (await endpoint.refresh(first)).json()["refresh_token"]
        endpoint.clock.advance(timedelta(seconds=30))

        assert (await endpoint.refresh(first)).json()["refresh_token"] == second
        assert "refresh_token.replayed" in endpoint.events.names()
        assert (await endpoint.refresh(second)).status_code == 200

    async def test_s13_after_the_grace_the_family_is_dead(self, endpoint: Endpoint) -> None:
        first = await endpoint.refresh_token()
        second = (await endpoint.refresh(first)).json()["refresh_token"]
        endpoint.clock.advance(timedelta(seconds=31))

        require_refusal(await endpoint.refresh(first), "invalid_grant")

        require_refusal(await endpoint.refresh(second), "invalid_grant")
        assert "refresh_token.reused" in endpoint.events.names()

    async def test_a_replay_behind_a_used_successor_ends_the_family(
        self, endpoint: Endpoint
    ) -> None:
        first = await endpoint.refresh_token()
        second = (await endpoint.refresh(first)).json()["refresh_token"]
        third = (await endpoint.refresh(second)).json()["refresh_token"]

        require_refusal(await endpoint.refresh(first), "invalid_grant")
        require_refusal(await endpoint.refresh(third), "invalid_grant")

    async def test_of_fifty_at_once_all_get_the_one_successor(self, endpoint: Endpoint) -> None:
        first = await endpoint.refresh_token()

        answers = await asyncio.gather(*(endpoint.refresh(first) for _ in range(50)))

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1

    @pytest.mark.parametrize(
        ("idle", "lives"), [(timedelta(days=14) - SECOND, True), (timedelta(days=14), False)]
    )
    async def test_the_idle_life_ends_on_the_second(
        self, endpoint: Endpoint, idle: timedelta, *, lives: bool
    ) -> None:
        token = await endpoint.refresh_token()
        endpoint.clock.advance(idle)

        assert ((await endpoint.refresh(token)).status_code == 200) is lives

    async def test_the_absolute_life_ends_however_busy_it_was(self, endpoint: Endpoint) -> None:
        token = await endpoint.refresh_token()
        for _ in range(9):
            endpoint.clock.advance(timedelta(days=10) - timedelta(seconds=1))
            answer = await endpoint.refresh(token)
            token = answer.json()["refresh_token"]
        endpoint.clock.advance(timedelta(seconds=9) - SECOND)
        assert (await endpoint.refresh(token)).status_code == 200
        endpoint.clock.advance(SECOND)

        require_refusal(await endpoint.refresh(token), "invalid_grant")

    async def test_a_narrower_scope_is_for_this_token_only(self, endpoint: Endpoint) -> None:
        """RFC 6749 §6."""
        first = await endpoint.refresh_token(scope="openid offline_access orders.read orders.write")

        narrow = (await endpoint.refresh(first, scope="orders.read")).json()
        whole = (await endpoint.refresh(narrow["refresh_token"])).json()

        assert claims_of(narrow["access_token"])["scope"] == "orders.read"
        assert "orders.write" in claims_of(whole["access_token"])["scope"]

    async def test_a_refused_refresh_spends_nothing(self, endpoint: Endpoint) -> None:
        first = await endpoint.refresh_token()

        require_refusal(await endpoint.refresh(first, scope="stock.read"), "invalid_scope")
        require_refusal(
            await endpoint.refresh(first, resource="https://stock.example"), "invalid_target"
        )
        form = {
            "client_id": "posting",
            "client_secret": endpoint.secrets["POSTING"],
            "refresh_token": first,
        }
        require_refusal(
            await endpoint.token(None, grant_type="refresh_token", **form), "invalid_grant"
        )

        assert (await endpoint.refresh(first)).status_code == 200
        assert "refresh_token.replayed" not in endpoint.events.names()

    async def test_s14_a_disabled_person_is_not_renewed(self, endpoint: Endpoint) -> None:
        first, sign_in = await endpoint.refresh_token(), await endpoint.sign_in()
        account = replace(await endpoint.account(), disabled=True)
        await endpoint.server.stores.accounts.put(account)

        require_refusal(await endpoint.refresh(first), "invalid_grant")
        require_refusal(await endpoint.exchange(sign_in), "invalid_grant")


class TestRevocation:
    """RFC 7009 §2.1, RFC 7009 §2.2."""

    async def test_w15_a_refresh_token_is_revoked_with_its_family(self, endpoint: Endpoint) -> None:
        first = await endpoint.refresh_token()
        second = (await endpoint.refresh(first)).json()["refresh_token"]

        answer = await endpoint.http.post(
            "/revoke", data={"token": first}, headers=endpoint.headers()
        )

        assert (answer.status_code, answer.content) == (200, b"")
        require_refusal(await endpoint.refresh(second), "invalid_grant")

    async def test_another_clients_and_unknown_tokens_are_answered_alike(
        self, endpoint: Endpoint
    ) -> None:
        first = await endpoint.refresh_token()
        own = {"client_id": "posting", "client_secret": endpoint.secrets["POSTING"]}

        for token in (first, "unknown", "a.b.c"):
            answer = await endpoint.http.post("/revoke", data={"token": token, **own})
            assert (answer.status_code, answer.content) == (200, b"")

        assert (await endpoint.refresh(first)).status_code == 200

    async def test_a_bad_revocation_is_refused(self, endpoint: Endpoint) -> None:
        require_refusal(
            await endpoint.http.post("/revoke", data={}, headers=endpoint.headers()),
            "invalid_request",
        )
        require_refusal(
            await endpoint.http.post("/revoke", data={"token": "t"}), "invalid_client", 401
        )
