"""Tokens on the word of a trusted issuer (RFC 7523 §2.1, RFC 7523 §3), and Microsoft's on-behalf-of."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.jose.forge import ES256
from tests.server.conftest import ISSUER, SECOND, claims_of, require_refusal
from tests.server.exchanging import (
    JWT_BEARER,
    ORDERS,
    PARTNER,
    PRINT,
    SETTINGS,
    STOCK,
    Exchanging,
    opened,
)

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.jws import sign
from mintmark.jose.keys import SigningKey
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.faults import Fault


@pytest.fixture
async def server(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Exchanging]:
    async with opened(tmp_path, clock) as made:
        yield made


OTHER = SigningKey.generate(Algorithm.ES256)


def assertion(server: Exchanging, key: SigningKey = ES256, typ: str = "JWT", **changes: Any) -> str:
    claims = {
        "iss": PARTNER, "sub": "p-1", "aud": ISSUER, "iat": server.now, "exp": server.now + 60,
        "jti": secrets.token_urlsafe(8), "tenant": "acme", "staff": True, **changes,
    }  # fmt: skip
    kept = {name: value for name, value in claims.items() if value is not None}
    return sign(json.dumps(kept).encode(), key, typ=typ)


async def ask(server: Exchanging, made: str, by: str = "job", /, **more: Any) -> httpx2.Response:
    return await server.post({"grant_type": JWT_BEARER, "assertion": made, **more}, by)


class TestAccepted:
    async def test_a_token_about_whom_the_issuer_means(self, server: Exchanging) -> None:
        answer = await ask(server, assertion(server))

        assert answer.status_code == 200
        claims = claims_of(answer.json()["access_token"])
        assert (claims["sub"], claims["aud"], claims["client_id"]) == ("1-alice", ORDERS, "job")
        assert answer.json()["scope"] == "orders.read"
        assert "refresh_token" not in answer.json()
        assert "sid" not in claims
        assert "auth_time" not in claims

    async def test_it_can_be_exchanged_like_any_token_about_a_person(
        self, server: Exchanging
    ) -> None:
        token = (await ask(server, assertion(server))).json()["access_token"]

        answer = await server.ask(token)

        assert claims_of(answer.json()["access_token"])["sub"] == "1-alice"

    @pytest.mark.parametrize("aud", [ISSUER, f"{ISSUER}/token", [ISSUER]])
    async def test_both_names_of_the_server_will_do(self, server: Exchanging, aud: Any) -> None:
        assert (await ask(server, assertion(server, aud=aud))).status_code == 200

    @pytest.mark.parametrize(
        ("asked", "given"),
        [("orders.read", "orders.read"), ("stock.read", None), ("orders.read stock.read", None)],
    )
    async def test_no_more_scope_than_the_issuers_word_is_good_for(
        self, server: Exchanging, asked: str, given: str | None
    ) -> None:
        """RFC 6749 §5.2. This client may have `stock.read`, but not on that word."""
        answer = await ask(server, assertion(server), scope=asked)

        if given is None:
            require_refusal(answer, "invalid_scope")
        else:
            assert answer.json()["scope"] == given


class TestRefused:
    """RFC 7521 §4.1.1: `invalid_grant`, in the same words whatever was wrong."""

    async def refused(self, server: Exchanging, made: str, by: str = "job") -> str:
        answer = await ask(server, made, by)
        require_refusal(answer, "invalid_grant")
        assert answer.json()["error_description"] == "the assertion is not valid"
        event: Any = server.endpoint.events.events[-1]
        assert made not in repr(event)
        reason: str = event.reason
        return reason

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "https://stranger.example"}, {"iss": ISSUER}, {"iss": None}, {"sub": "p-9"},
            {"sub": "1-alice"}, {"sub": None}, {"sub": ["p-1"]}, {"aud": None},
            {"aud": "https://other.example"}, {"aud": [ISSUER, "https://other.example"]},
            {"jti": None}, {"jti": ""}, {"iat": None}, {"exp": None}, {"tenant": "evil"},
            {"tenant": None}, {"staff": 1}, {"staff": "true"}, {"typ": "at+jwt"},
            {"typ": "client-authentication+jwt"},
        ],
        ids=str,
    )  # fmt: skip
    async def test_what_is_missing_or_another(
        self, server: Exchanging, changes: dict[str, Any]
    ) -> None:
        """RFC 8725 §3.11 for the types. The first test of this file is the honest twin."""
        await self.refused(server, assertion(server, **changes))

    @pytest.mark.parametrize(
        ("dates", "lives"),
        [
            ({"exp": 300}, True), ({"exp": 330}, True), ({"exp": 331}, False), ({"exp": -29}, True),
            ({"exp": -30}, False), ({"nbf": 30}, True), ({"nbf": 31}, False), ({"iat": 60, "exp": 99}, True),
            ({"iat": 61, "exp": 99}, False), ({"exp": 10**10}, False),
        ],
        ids=str,
    )  # fmt: skip
    async def test_five_minutes_at_most_and_not_before_or_after(
        self, server: Exchanging, dates: dict[str, int], lives: bool
    ) -> None:
        """RFC 7523 §3, with the half minute that two clocks may differ."""
        moments: dict[str, Any] = {name: server.now + value for name, value in dates.items()}
        if dates.get("exp", 0) < 0:
            moments["iat"] = server.now - 60
        made = assertion(server, **moments)

        if lives:
            assert (await ask(server, made)).status_code == 200
        else:
            await self.refused(server, made)

    async def test_a_signature_of_another_key(self, server: Exchanging) -> None:
        await self.refused(server, assertion(server, OTHER))
        await self.refused(server, assertion(server).rpartition(".")[0] + ".")
        await self.refused(server, "no.assertion.here")
        await self.refused(server, "é")

    async def test_s43_w101_a_second_use(self, server: Exchanging) -> None:
        made = assertion(server)
        again = assertion(server, jti=claims_of(made)["jti"], sub="p-2")

        answers = await asyncio.gather(*(ask(server, made) for _ in range(8)))

        assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 7}
        assert "before" in await self.refused(server, made)
        assert "before" in await self.refused(server, again)

    async def test_an_assertion_that_was_refused_is_not_used_up(self, server: Exchanging) -> None:
        made = assertion(server)
        require_refusal(await ask(server, made, scope="stock.read"), "invalid_scope")

        assert (await ask(server, made)).status_code == 200

    async def test_a_client_that_this_issuer_does_not_speak_for(self, server: Exchanging) -> None:
        await self.refused(server, assertion(server), "orders")
        require_refusal(await ask(server, assertion(server), "stock"), "unauthorized_client")

    async def test_somebody_who_was_disabled(self, server: Exchanging) -> None:
        account = await server.endpoint.account()
        await server.endpoint.server.stores.accounts.put(replace(account, disabled=True))

        await self.refused(server, assertion(server))
        assert (await ask(server, assertion(server, sub="p-2"))).status_code == 200

    async def test_a_missing_one_and_an_unknown_use(self, server: Exchanging) -> None:
        unknown = await ask(server, assertion(server), requested_token_use="admin")
        details = await ask(server, assertion(server), authorization_details="[]")

        require_refusal(await server.post({"grant_type": JWT_BEARER}, "job"), "invalid_request")
        require_refusal(unknown, "invalid_request")
        require_refusal(details, "invalid_request")


class TestPublishedKeys:
    """The issuer's keys from its own address, over real HTTP."""

    @pytest.fixture
    def partner(self) -> Iterator[FakeAuthority]:
        with FakeAuthority().serve() as served:
            yield served

    @pytest.fixture
    async def server(
        self, tmp_path: Path, clock: FrozenClock, partner: FakeAuthority
    ) -> AsyncIterator[Exchanging]:
        settings = SETTINGS.replace(
            'jwks = { file = "partner.jwks.json" }', f'jwks_uri = "{partner.issuer}/jwks"'
        )
        loopback = "insecure_allow_http_on_loopback = true\n" + settings
        async with opened(tmp_path, clock, settings=loopback) as made:
            yield made

    async def test_they_are_fetched_once_and_again_for_a_key_that_is_new(
        self, server: Exchanging, partner: FakeAuthority
    ) -> None:
        async def status() -> int:
            return (await ask(server, assertion(server, partner.key))).status_code

        assert [await status() for _ in range(3)] == [200, 200, 200]
        assert partner.counts["jwks"] == 1
        partner.rotate_key()
        # Not more often than every half minute, whoever sends what.
        assert await status() == 400
        server.endpoint.clock.advance(30 * SECOND)
        assert await status() == 200
        assert partner.counts["jwks"] == 2

    async def test_while_they_cannot_be_had_nothing_is_said_and_old_ones_serve(
        self, server: Exchanging, partner: FakeAuthority
    ) -> None:
        partner.lies["/jwks"] = Fault(status=500)
        require_refusal(
            await ask(server, assertion(server, partner.key)), "temporarily_unavailable", 503
        )
        del partner.lies["/jwks"]
        server.endpoint.clock.advance(SECOND)
        assert (await ask(server, assertion(server, partner.key))).status_code == 200
        partner.lies["/jwks"] = Fault(status=200, body=b"{")
        for hours, status in ((23, 200), (2, 503)):
            server.endpoint.clock.advance(timedelta(hours=hours))
            assert (await ask(server, assertion(server, partner.key))).status_code == status


class TestOnBehalf:
    """Microsoft's dialect of an exchange: the same rules, other words."""

    async def test_the_caller_is_named_and_so_is_who_acts(self, server: Exchanging) -> None:
        """OBO-01, OBO-06: and no refresh token."""
        answer = await server.on_behalf(await server.caller_token())

        body = answer.json()
        claims = claims_of(body["access_token"])
        assert (claims["sub"], claims["aud"], claims["act"]) == (
            "1-alice",
            STOCK,
            {"sub": "orders"},
        )
        assert {"refresh_token", "issued_token_type"}.isdisjoint(body)
        assert body["token_type"] == "Bearer"

    async def test_all_of_a_resource_is_asked_for_by_its_default(self, server: Exchanging) -> None:
        token = await server.caller_token("orders.write")

        whole = await server.on_behalf(token, scope=f"{STOCK}/.default")
        mixed = await server.on_behalf(token, scope=f"{STOCK}/.default stock.read")
        two = await server.on_behalf(token, scope=f"{STOCK}/.default {PRINT}/.default")
        none = await server.on_behalf(token, scope="/.default")

        assert whole.json()["scope"] == "stock.read stock.write"
        require_refusal(mixed, "invalid_scope")
        require_refusal(two, "invalid_target")
        require_refusal(none, "invalid_target")

    async def test_s33_a_bad_assertion_is_an_invalid_grant(self, server: Exchanging) -> None:
        """OBO-02, OBO-03; RFC 7521 §4.1.1."""
        token = await server.caller_token()
        application = await server.endpoint.token(
            grant_type="client_credentials", scope="orders.read"
        )
        for bad in (
            await server.caller_token("stock.read"), application.json()["access_token"], token[:-2],
            assertion(server), server.forged(token, exp=server.now, iat=server.now - 1), "x",
        ):  # fmt: skip
            answer = await server.on_behalf(bad)
            require_refusal(answer, "invalid_grant")
            assert answer.json()["error_description"] == "the assertion is not valid"

    async def test_s34_more_scope_or_another_target_is_refused_alike(
        self, server: Exchanging
    ) -> None:
        token = await server.caller_token()

        require_refusal(await server.on_behalf(token, scope="stock.write"), "invalid_scope")
        require_refusal(await server.on_behalf(token, scope="orders.read"), "invalid_target")
        require_refusal(await server.on_behalf(token, "plain"), "unauthorized_client")
        require_refusal(await server.on_behalf(token, "job"), "invalid_grant")

    async def test_an_assertion_that_is_a_callers_token_is_no_word_of_an_issuer(
        self, server: Exchanging
    ) -> None:
        token = await server.caller_token()

        require_refusal(await server.on_behalf(token, requested_token_use=None), "invalid_grant")
