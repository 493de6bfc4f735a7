"""Tokens exchanged along a chain of APIs, and everything that must not be (RFC 8693)."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.jose.forge import ES256
from tests.server.conftest import SECOND, claims_of, require_refusal
from tests.server.exchanging import EXCHANGE, ORDERS, PRINT, STOCK, Exchanging, opened

from mintmark.api.caller import MAX_ACTORS as MAX_ACTORS_OF_APIS
from mintmark.jose.jws import sign
from mintmark.protocol.client_authentication import basic_header
from mintmark.protocol.token_exchange import ACCESS_TOKEN, ID_TOKEN, JWT, REFRESH_TOKEN
from mintmark.secret import Secret
from mintmark.server.events import TokenExchanged
from mintmark.server.exchange import MAX_ACTORS
from mintmark.testing import FrozenClock


@pytest.fixture
async def server(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Exchanging]:
    async with opened(tmp_path, clock) as made:
        yield made


class TestExchanged:
    """RFC 8693 §2.2.1, RFC 8693 §4.1, RFC 9068 §2.2.1."""

    async def test_the_next_api_gets_a_token_about_the_same_person(
        self, server: Exchanging
    ) -> None:
        """W-36, W-39, W-42, W-43: everything that a token has, and the types in the answer."""
        token = await server.caller_token()

        answer = await server.ask(token)

        assert answer.status_code == 200
        body = answer.json()
        assert (body["issued_token_type"], body["token_type"]) == (ACCESS_TOKEN, "Bearer")
        assert (body["scope"], body["expires_in"]) == ("stock.read", 600)
        assert "refresh_token" not in body
        before, after = claims_of(token), claims_of(body["access_token"])
        assert (after["sub"], after["aud"], after["client_id"]) == ("1-alice", STOCK, "orders")
        assert after["act"] == {"sub": "orders"}
        for name in ("iss", "sid", "auth_time", "amr", "grant_id"):
            assert after[name] == before[name]
        assert after["jti"] != before["jti"]

    async def test_s35_two_hops_nest_the_actors_and_never_live_longer(
        self, server: Exchanging
    ) -> None:
        first = await server.caller_token()
        server.endpoint.clock.advance(timedelta(seconds=100))
        second = (await server.ask(first)).json()["access_token"]
        server.endpoint.clock.advance(timedelta(seconds=100))

        answer = await server.ask(second, "stock", resource=PRINT)

        third = claims_of(answer.json()["access_token"])
        assert third["sub"] == "1-alice"
        assert third["act"] == {"sub": "stock", "act": {"sub": "orders"}}
        assert claims_of(first)["exp"] == claims_of(second)["exp"] == third["exp"]
        assert answer.json()["expires_in"] == 400

    async def test_a_token_of_shorter_life_is_not_made_longer_by_what_it_came_from(
        self, server: Exchanging
    ) -> None:
        """The cap is an upper end, and no lifetime of its own."""
        token = server.forged(await server.caller_token(), exp=server.now + 3600)

        body = (await server.ask(token)).json()

        assert body["expires_in"] == 600

    async def test_w25_w35_each_person_keeps_their_own_name_in_every_order(
        self, server: Exchanging
    ) -> None:
        """Nothing of one person's exchange is kept for another's."""
        tokens = {
            subject: await server.caller_token(subject=subject) for subject in ("1-alice", "2-bob")
        }
        order = [subject for subject in tokens for _ in range(20)]
        random.Random(1).shuffle(order)  # noqa: S311 -- the same order every time

        answers = await asyncio.gather(*(server.ask(tokens[subject]) for subject in order))

        subjects = [claims_of(answer.json()["access_token"])["sub"] for answer in answers]
        assert subjects == order

    @pytest.mark.parametrize(
        ("target", "status"),
        [
            ({"resource": STOCK}, 200), ({"resource": None, "audience": STOCK}, 200),
            ({"audience": STOCK}, 200), ({"resource": None, "scope": "stock.read"}, 200),
            ({"audience": PRINT}, 400), ({"resource": None}, 400), ({"resource": ORDERS}, 400),
            ({"resource": "https://nobody.example"}, 400), ({"resource": STOCK + "/"}, 400),
            ({"resource": [STOCK, PRINT]}, 400),
        ],
    )  # fmt: skip
    async def test_s34_one_target_that_a_rule_names(
        self, server: Exchanging, target: dict[str, Any], status: int
    ) -> None:
        """RFC 8693 §2.2.2, RFC 8707 §2."""
        answer = await server.ask(await server.caller_token(), **target)

        assert answer.status_code == status
        if status == 400:
            require_refusal(answer, "invalid_target")

    async def test_the_only_rule_needs_no_name(self, server: Exchanging) -> None:
        second = (await server.ask(await server.caller_token())).json()["access_token"]

        answer = await server.ask(second, "stock", resource=None)

        assert claims_of(answer.json()["access_token"])["aud"] == PRINT

    @pytest.mark.parametrize(
        ("granted", "asked", "given"),
        [
            ("orders.read", None, "stock.read"), ("orders.write", None, "stock.read stock.write"),
            ("orders.write", "stock.write", "stock.write"), ("orders.read", "stock.write", None),
            ("orders.read", "stock.read stock.write", None), ("orders.read", "openid", None),
            ("orders.read", "orders.read", None),
        ],
    )  # fmt: skip
    async def test_s34_w29_no_more_scope_than_the_token_that_came_is_worth(
        self, server: Exchanging, granted: str, asked: str | None, given: str | None
    ) -> None:
        """RFC 6749 §5.2."""
        answer = await server.ask(await server.caller_token(granted), scope=asked)

        if given is None:
            require_refusal(answer, "invalid_scope")
        else:
            assert answer.json()["scope"] == given

    @pytest.mark.parametrize(
        ("types", "issued"),
        [
            ({}, ACCESS_TOKEN), ({"subject_token_type": JWT}, ACCESS_TOKEN),
            ({"requested_token_type": JWT}, JWT), ({"requested_token_type": ACCESS_TOKEN}, ACCESS_TOKEN),
            ({"requested_token_type": REFRESH_TOKEN}, None), ({"requested_token_type": ID_TOKEN}, None),
            ({"subject_token_type": ID_TOKEN}, None), ({"subject_token_type": "access_token"}, None),
            ({"subject_token_type": None}, None), ({"subject_token": None}, None),
            ({"authorization_details": "[]"}, None), ({"actor_token": "x"}, None),
            ({"actor_token_type": ACCESS_TOKEN}, None),
        ],
    )  # fmt: skip
    async def test_the_types_are_named_and_are_ones_that_are_dealt_in(
        self, server: Exchanging, types: dict[str, Any], issued: str | None
    ) -> None:
        """RFC 8693 §2.1, RFC 8693 §3; W-41: a missing parameter is the client's mistake."""
        answer = await server.ask(await server.caller_token(), **types)

        if issued is None:
            require_refusal(answer, "invalid_request")
        else:
            assert answer.json()["issued_token_type"] == issued


class TestSubjectTokens:
    """RFC 8693 §2.2.2: whatever is wrong with a token, the answer is the same."""

    async def refused(self, server: Exchanging, token: str, by: str = "orders") -> str:
        answer = await server.ask(token, by)
        require_refusal(answer, "invalid_request")
        assert answer.json()["error_description"] == "a token is not acceptable"
        event: Any = server.endpoint.events.events[-1]
        assert token not in repr(event)
        reason: str = event.reason
        return reason

    async def test_s33_one_made_out_to_somebody_else(self, server: Exchanging) -> None:
        """The honest twin is the first test of this file."""
        assert "somebody else" in await self.refused(server, await server.caller_token(), "stock")
        other = await server.caller_token("stock.read")
        assert "somebody else" in await self.refused(server, other, "orders")
        userinfo = await server.caller_token("openid")
        assert "somebody else" in await self.refused(server, userinfo, "orders")

    @pytest.mark.parametrize(("after", "lives"), [(599, True), (600, False)])
    async def test_s33_one_that_is_over_on_the_second(
        self, server: Exchanging, after: int, lives: bool
    ) -> None:
        token = await server.caller_token()
        server.endpoint.clock.advance(after * SECOND)

        answer = await server.ask(token)

        assert answer.status_code == (200 if lives else 400)
        if lives:
            assert answer.json()["expires_in"] == 1

    async def test_s33_w26_one_that_another_key_signed(self, server: Exchanging) -> None:
        token = await server.caller_token()
        head, payload, _ = token.split(".")
        other = sign(b"{}", ES256, typ="at+jwt").split(".")[2]

        await self.refused(server, f"{head}.{payload}.{other}")
        await self.refused(server, f"{head}.{payload}.")

    async def test_s33_one_of_an_application(self, server: Exchanging) -> None:
        answer = await server.endpoint.token(grant_type="client_credentials", scope="orders.read")

        assert "own token" in await self.refused(server, answer.json()["access_token"])

    async def test_s33_one_of_another_issuer(self, server: Exchanging) -> None:
        token = await server.caller_token()

        await self.refused(server, server.forged(token, iss="https://other.example"))

    async def test_one_of_another_kind(self, server: Exchanging) -> None:
        sign_in = await server.endpoint.sign_in("openid offline_access orders.read")
        body = (await server.endpoint.exchange(sign_in)).json()

        await self.refused(server, body["id_token"])
        await self.refused(server, body["refresh_token"])
        await self.refused(server, "no.token.at-all")

    async def test_one_that_names_a_person_without_a_grant(self, server: Exchanging) -> None:
        token = server.forged(await server.caller_token(), grant_id=None)

        assert "no grant" in await self.refused(server, token)

    @pytest.mark.parametrize("how", ["refresh token", "sign-out"])
    async def test_one_whose_sign_in_was_ended(self, server: Exchanging, how: str) -> None:
        sign_in = await server.endpoint.sign_in("offline_access orders.read")
        body = (await server.endpoint.exchange(sign_in)).json()
        second = (await server.ask(body["access_token"])).json()["access_token"]
        if how == "refresh token":
            await server.endpoint.http.post(
                "/revoke", data={"token": body["refresh_token"]}, headers=server.endpoint.headers()
            )
        else:
            stores = server.endpoint.server.stores
            await stores.refresh_tokens.revoke_session(sign_in.sid, now=server.endpoint.clock.now())

        assert "revoked" in await self.refused(server, body["access_token"])
        assert "revoked" in await self.refused(server, second, "stock")

    async def test_one_of_a_sign_in_that_left_no_record_but_its_session(
        self, server: Exchanging
    ) -> None:
        """Without a refresh token nothing is kept of a family once its code is pruned."""
        sign_in = await server.endpoint.sign_in("orders.read")
        token = (await server.endpoint.exchange(sign_in)).json()["access_token"]
        token = server.forged(token, exp=server.now + 7200)
        stores: Any = server.endpoint.server.stores
        server.endpoint.clock.advance(timedelta(minutes=90))
        await stores.prune(now=server.endpoint.clock.now())
        assert (await server.ask(token)).status_code == 200

        await stores.refresh_tokens.revoke_session(sign_in.sid, now=server.endpoint.clock.now())

        assert "revoked" in await self.refused(server, token)

    async def test_w31_one_of_somebody_who_was_disabled(self, server: Exchanging) -> None:
        from dataclasses import replace

        token = await server.caller_token()
        account = await server.endpoint.account()
        await server.endpoint.server.stores.accounts.put(replace(account, disabled=True))

        assert "account" in await self.refused(server, token)

    @pytest.mark.parametrize(
        "changes",
        [
            {"act": "x"}, {"act": []}, {"act": {"sub": "a", "act": "x"}}, {"grant_id": 5}, {"sid": 5},
            {"grant_id": ["a"]}, {"cnf": {}}, {"aud": []}, {"sub": "\n"}, {"exp": 1e20},
        ],
        ids=str,
    )  # fmt: skip
    async def test_one_with_claims_of_other_forms_than_ours(
        self, server: Exchanging, changes: dict[str, Any]
    ) -> None:
        """Nobody can sign such a token; if somebody could, it would be refused and no fault."""
        await self.refused(server, server.forged(await server.caller_token(), **changes))

    async def test_one_of_a_client_that_is_registered_no_more(self, server: Exchanging) -> None:
        token = server.forged(await server.caller_token(), client_id="gone")

        assert "client" in await self.refused(server, token)


class TestClients:
    """RFC 6749 §5.2; 8693-04: nobody exchanges without proof of who they are."""

    async def test_one_without_the_grant_is_not_let(self, server: Exchanging) -> None:
        answer = await server.ask(await server.caller_token(), "plain")

        require_refusal(answer, "unauthorized_client")

    async def test_one_without_a_secret_is_not_let(self, server: Exchanging) -> None:
        form = {
            "grant_type": EXCHANGE, "subject_token": await server.caller_token(),
            "subject_token_type": ACCESS_TOKEN, "resource": STOCK,
        }  # fmt: skip
        http = server.endpoint.http

        public = await http.post("/token", data={**form, "client_id": "phone"})
        nobody = await http.post("/token", data=form)
        posing = await http.post("/token", data={**form, "client_id": "orders"})

        require_refusal(public, "unauthorized_client")
        require_refusal(nobody, "invalid_client", 401)
        require_refusal(posing, "invalid_client", 401)

    async def test_w37_the_hash_of_a_secret_is_no_secret(self, server: Exchanging) -> None:
        import hashlib

        hashed = hashlib.sha256(server.endpoint.secrets["ORDERS"].encode()).hexdigest()
        headers = {"authorization": basic_header("orders", Secret(hashed))}

        answer = await server.ask(await server.caller_token(), "orders", headers)

        require_refusal(answer, "invalid_client", 401)


class TestActors:
    """RFC 8693 §4.1, RFC 8693 §4.4, RFC 8693 §1.1."""

    async def actor(self, server: Exchanging, subject: str, **more: Any) -> dict[str, str]:
        token = await server.caller_token(subject=subject, **more)
        return {"actor_token": token, "actor_token_type": ACCESS_TOKEN}

    async def test_somebody_else_acts_where_the_rule_names_them(self, server: Exchanging) -> None:
        token = await server.caller_token()

        answer = await server.ask(token, **await self.actor(server, "2-bob"))
        turned = await server.ask(
            await server.caller_token(subject="2-bob"), **await self.actor(server, "1-alice")
        )

        claims = claims_of(answer.json()["access_token"])
        assert (claims["sub"], claims["act"]) == ("1-alice", {"sub": "2-bob"})
        require_refusal(turned, "invalid_request")

    async def test_an_actor_token_is_checked_like_a_subject_token(self, server: Exchanging) -> None:
        token = await server.caller_token()
        bob = await server.caller_token(subject="2-bob")
        for bad in (
            server.forged(bob, exp=server.now, iat=server.now - 9),
            server.forged(bob, aud=STOCK),
            server.forged(bob, act={"sub": "x"}),
            bob[:-2],
            "x",
        ):
            answer = await server.ask(token, actor_token=bad, actor_token_type=ACCESS_TOKEN)
            require_refusal(answer, "invalid_request")

    async def test_a_clients_own_token_names_it_and_no_other_client(
        self, server: Exchanging
    ) -> None:
        token = await server.caller_token()
        form = {"grant_type": "client_credentials", "scope": "orders.read"}
        own = (await server.post(form, "orders")).json()["access_token"]
        others = (await server.post(form, "web")).json()["access_token"]

        answer = await server.ask(token, actor_token=own, actor_token_type=ACCESS_TOKEN)
        refused = await server.ask(token, actor_token=others, actor_token_type=ACCESS_TOKEN)

        assert claims_of(answer.json()["access_token"])["act"] == {"sub": "orders"}
        require_refusal(refused, "invalid_request")

    @pytest.mark.parametrize(
        ("may_act", "lets"),
        [
            ({"sub": "orders"}, True), ({"sub": "orders", "client_id": "orders"}, True),
            ({"sub": "stock"}, False), ({"sub": "orders", "iss": "https://other.example"}, False),
            ({"sub": "orders", "email": "a@b.example"}, False), ({}, False), ("orders", False),
            (["orders"], False), ({"sub": ["orders"]}, False), ({"sub": "2-bob"}, False),
        ],
    )  # fmt: skip
    async def test_may_act_is_obeyed_to_the_letter(
        self, server: Exchanging, may_act: Any, lets: bool
    ) -> None:
        token = server.forged(await server.caller_token(), may_act=may_act)

        answer = await server.ask(token)

        assert answer.status_code == (200 if lets else 400)
        if not lets:
            require_refusal(answer, "invalid_request")

    async def test_may_act_names_who_comes_with_an_actor_token(self, server: Exchanging) -> None:
        bob = await self.actor(server, "2-bob")
        for_bob = server.forged(await server.caller_token(), may_act={"sub": "2-bob"})
        for_orders = server.forged(await server.caller_token(), may_act={"sub": "orders"})

        assert (await server.ask(for_bob, **bob)).status_code == 200
        require_refusal(await server.ask(for_orders, **bob), "invalid_request")

    async def test_a_resource_says_who_may_act_on_its_tokens(self, server: Exchanging) -> None:
        token = (await server.ask(await server.caller_token())).json()["access_token"]
        onward = (await server.ask(token, "stock", resource=PRINT)).json()["access_token"]
        application = await server.post({"grant_type": "client_credentials"}, "plain")

        assert claims_of(token)["may_act"] == {"sub": "stock"}
        assert "may_act" not in claims_of(onward)
        assert "may_act" not in claims_of(application.json()["access_token"])

    async def test_impersonation_shows_no_actor_and_hides_none(self, server: Exchanging) -> None:
        token = await server.caller_token()
        looped = (await server.ask(token, "loop", resource=ORDERS)).json()["access_token"]

        answer = await server.ask(token, "mask")
        hiding = await server.ask(looped, "mask")
        naming = await server.ask(token, "mask", **await self.actor(server, "2-bob"))

        assert "act" not in claims_of(answer.json()["access_token"])
        assert claims_of(looped)["act"] == {"sub": "loop"}
        require_refusal(hiding, "invalid_request")
        require_refusal(naming, "invalid_request")

    async def test_impersonation_needs_may_act_too(self, server: Exchanging) -> None:
        token = await server.caller_token()

        lets = await server.ask(server.forged(token, may_act={"sub": "mask"}), "mask")
        refuses = await server.ask(server.forged(token, may_act={"sub": "orders"}), "mask")

        assert lets.status_code == 200
        require_refusal(refuses, "invalid_request")

    async def test_the_chain_ends_at_the_length_that_apis_still_read(
        self, server: Exchanging
    ) -> None:
        assert MAX_ACTORS == MAX_ACTORS_OF_APIS
        token = await server.caller_token()
        for _ in range(MAX_ACTORS):
            answer = await server.ask(token, "loop", resource=ORDERS)
            assert answer.status_code == 200
            token = answer.json()["access_token"]

        require_refusal(await server.ask(token, "loop", resource=ORDERS), "invalid_request")

    async def test_no_number_of_hops_makes_a_token_outlive_the_first(
        self, server: Exchanging
    ) -> None:
        """This client's own tokens live a day."""
        token = await server.caller_token()
        ends = claims_of(token)["exp"]
        for _ in range(3):
            server.endpoint.clock.advance(timedelta(seconds=60))
            body = (await server.ask(token, "loop", resource=ORDERS)).json()
            token = body["access_token"]

        assert claims_of(token)["exp"] == ends
        assert body["expires_in"] == 600 - 180


class TestStepUp:
    @pytest.mark.parametrize(("after", "lets"), [(300, True), (301, False)])
    async def test_s36_a_sign_in_that_is_too_old_is_said_by_its_own_code(
        self, server: Exchanging, after: int, lets: bool
    ) -> None:
        """OIDC Core §3.1.2.6: whoever reads it can send the person to sign in again."""
        token = await server.caller_token()
        server.endpoint.clock.advance(after * SECOND)

        answer = await server.ask(token, resource=PRINT)

        assert answer.status_code == (200 if lets else 400)
        if not lets:
            require_refusal(answer, "interaction_required")
            again = await server.caller_token()
            assert (await server.ask(again, resource=PRINT)).status_code == 200


async def test_who_acted_for_whom_is_told_to_the_log(server: Exchanging) -> None:
    token = await server.caller_token()
    await server.ask(token)
    await server.ask(token, "mask")
    await server.ask(token, "plain")

    told = [event for event in server.endpoint.events.events if isinstance(event, TokenExchanged)]

    common = {"subject": "1-alice", "origin": ORDERS, "target": STOCK, "scope": "stock.read"}
    assert told == [
        TokenExchanged(client_id="orders", actor="orders", **common),
        TokenExchanged(client_id="mask", actor="", **common),
    ]


async def test_nothing_of_a_token_is_in_an_event(server: Exchanging) -> None:
    """W-38."""
    token = Secret(await server.caller_token())
    await server.ask(token.reveal())
    await server.ask(token.reveal(), "stock")
    await server.ask(token.reveal()[:-1])

    said = repr(server.endpoint.events.events)
    assert all(part not in said for part in token.reveal().split("."))


async def test_the_metadata_names_the_grant(server: Exchanging) -> None:
    body = (await server.endpoint.http.get("/.well-known/openid-configuration")).json()

    assert EXCHANGE in body["grant_types_supported"]
